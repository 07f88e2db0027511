import type { SandboxRecord } from '../domain/sandbox.ts';
import type { ListQuery } from './pool-store.ts';

/** Whether a sandbox of the query's own tenant is asked for. */
export function matchesQuery(record: SandboxRecord, query: ListQuery): boolean {
  if (query.pool !== undefined && record.pool !== query.pool) return false;
  if (query.states !== undefined && query.states.length > 0 && !query.states.includes(record.state))
    return false;
  const metadata = record.claim?.customisation.metadata ?? {};
  for (const [key, value] of Object.entries(query.metadata ?? {})) {
    if (!Object.hasOwn(metadata, key) || metadata[key] !== value) return false;
  }
  return true;
}
