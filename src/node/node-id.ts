import { type Clock, pause } from '../domain/clock.ts';
import { WarmpoolError } from '../domain/errors.ts';
import type { PoolStore } from '../store/pool-store.ts';

/**
 * Throws when another process speaks to this store under the same node id: each of the two would take the other's
 * sandboxes for lost ones and end them. The heartbeat of a run that was killed looks alive for some seconds, so a fresh
 * one is looked at twice: only a living process renews it.
 */
export async function assertNodeIdIsFree(
  deps: { readonly store: Pick<PoolStore, 'nodes'>; readonly clock: Clock },
  nodeId: string,
): Promise<void> {
  const { store, clock } = deps;
  const ageMs = async () => (await store.nodes()).find((node) => node.nodeId === nodeId)?.heartbeatAgeMs;
  const firstAgeMs = await ageMs();
  if (firstAgeMs === undefined || firstAgeMs > freshForMs) return;
  await pause(clock, heartbeatsApartMs, never);
  const secondAgeMs = await ageMs();
  if (secondAgeMs === undefined || secondAgeMs > firstAgeMs + heartbeatsApartMs / 2) return;
  throw new WarmpoolError(
    'INVALID_REQUEST',
    `another warmpool service uses this store as node "${nodeId}": give each its own WARMPOOL_NODE_ID`,
    { violations: [{ field: 'WARMPOOL_NODE_ID', description: 'is the id of another running service' }] },
  );
}

const never = new AbortController().signal;
/** As long as a node counts as alive. */
const freshForMs = 5_000;
/** Two heartbeats and a half. */
const heartbeatsApartMs = 2_500;
