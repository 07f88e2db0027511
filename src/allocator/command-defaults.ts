import { templateEnvironment } from '../domain/environment.ts';
import type { PoolCatalog } from '../domain/pool-catalog.ts';
import type { SandboxRecord } from '../domain/sandbox.ts';
import type { ExecDefaults } from './api.ts';

/**
 * What a request leaves open is the claim's, else the template's; environments are added up in the other order. Whether
 * it comes over gRPC or a socket: a sandbox is customised by applying this to everything that is done in it.
 */
export function completeExec(
  catalog: PoolCatalog,
  record: SandboxRecord,
  request: ExecDefaults,
): Required<ExecDefaults> {
  const template = catalog.get(record.pool)?.spec.template;
  const custom = record.claim?.customisation;
  const { user, cwd } = completeFiles(catalog, record, request);
  // A pool that was removed on reload leaves its running sandboxes without a template; they keep working.
  const base = templateEnvironment({ user, env: template?.env ?? {} });
  return { user, cwd, env: { ...base, ...custom?.env, ...request.env } };
}

export function completeFiles(
  catalog: PoolCatalog,
  record: SandboxRecord,
  request: Omit<ExecDefaults, 'env'>,
): Required<Omit<ExecDefaults, 'env'>> {
  const template = catalog.get(record.pool)?.spec.template;
  const custom = record.claim?.customisation;
  return {
    user: request.user ?? custom?.user ?? template?.user ?? '',
    cwd: request.cwd ?? custom?.cwd ?? template?.cwd ?? '/',
  };
}
