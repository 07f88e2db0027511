import { isDeepStrictEqual } from 'node:util';
import type { PoolSpec } from '../domain/pool-spec.ts';

export interface PoolChanges {
  readonly added: readonly PoolSpec[];
  readonly changed: readonly PoolSpec[];
  readonly removed: readonly PoolSpec[];
}

/** What a reload has to touch: pools that say the same as before are in none of the lists. */
export function diffPools(before: readonly PoolSpec[], after: readonly PoolSpec[]): PoolChanges {
  const old = new Map(before.map((pool) => [pool.name, pool]));
  const kept = new Set(after.map((pool) => pool.name));
  return {
    added: after.filter((pool) => !old.has(pool.name)),
    changed: after.filter((pool) => old.has(pool.name) && !isDeepStrictEqual(old.get(pool.name), pool)),
    removed: before.filter((pool) => !kept.has(pool.name)),
  };
}
