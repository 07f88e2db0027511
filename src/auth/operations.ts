import type { AllocatorApi, Principal } from '../allocator/api.ts';
import { WarmpoolError } from '../domain/errors.ts';
import type { Scope } from '../domain/scopes.ts';

/** What can be asked of the service, whatever the edge: its use cases, and what a session's channels carry. */
export type Operation = Exclude<keyof AllocatorApi, 'openSession'> | 'useProcesses' | 'useFiles' | 'usePorts';

/** The scope that each operation needs. Total: a new use case does not compile until it is decided here who may use it. */
export const scopeOf: Readonly<Record<Operation, Scope>> = {
  createSandbox: 'claim',
  getSandbox: 'claim',
  listSandboxes: 'claim',
  deleteSandbox: 'claim',
  keepAlive: 'claim',
  setTimeout: 'claim',
  watchSandboxes: 'claim',
  spawn: 'exec',
  exec: 'exec',
  useProcesses: 'exec',
  useFiles: 'files',
  usePorts: 'ports',
  listPools: 'claim',
  getPool: 'claim',
  scalePool: 'admin',
  listNodes: 'admin',
  getNode: 'admin',
  cordonNode: 'admin',
  uncordonNode: 'admin',
  drainNode: 'admin',
};

/** Throws PERMISSION_DENIED, naming the scope that the key lacks. */
export function assertMay(principal: Principal, operation: Operation): void {
  const scope = scopeOf[operation];
  if (principal.scopes.has(scope)) return;
  throw new WarmpoolError('PERMISSION_DENIED', `the API key lacks the scope "${scope}"`, {
    facts: { scope },
  });
}
