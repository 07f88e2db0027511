import { firstEstimate, nextEstimate } from '../domain/load-estimate.ts';
import { demandOf } from '../domain/sizing.ts';
import { loadCountersOf, type PoolSnapshot, type PoolStore } from '../store/pool-store.ts';

/**
 * Lets a pool's size follow its load: once a second somebody folds what the counters gained into the estimate and writes
 * what it asks for. Every node does this with every pool it fills; the store takes one of those that look at the same time
 * and all act on that, so any number of nodes has one target. Answers with the pool as it is afterwards.
 *
 * Turned down: each node computing a target of its own from the shared counters. Averages depend on when one looked, so the
 * targets would differ, and where they did, one node would end what another had just started.
 */
export async function followLoad(
  store: Pick<PoolStore, 'noteDemand'>,
  pool: PoolSnapshot,
): Promise<PoolSnapshot> {
  const { demand, counters, readAtMs, size } = pool;
  const counted = loadCountersOf(counters);
  const load = demand ? nextEstimate(demand.load, counted, readAtMs) : firstEstimate(counted, readAtMs);
  if (!load) return pool;
  return (await store.noteDemand(pool.name, demand, demandOf(size, load, demand))) ?? pool;
}
