import type { PoolView } from '../allocator/api.ts';
import type { Pool } from './gen/warmpool/v1/Pool.ts';
import { wireOnMiss } from './wire/enum-names.ts';
import { formatDuration } from './wire/time.ts';

export function formatPool(pool: PoolView): Pool {
  const { size, counters } = pool;
  return {
    name: pool.name,
    runtime: pool.runtime,
    specVersion: pool.specVersion,
    size: {
      minReady: size.minReady,
      maxReady: size.maxReady,
      maxTotal: size.maxTotal,
      startsInFlightMax: size.startsInFlightMax,
      maxIdleAge: formatDuration(size.maxIdleAgeMs),
      onMiss: wireOnMiss[size.onMiss],
    },
    target: pool.target,
    ready: pool.ready,
    starting: pool.starting,
    live: pool.live,
    counters: { ...counters },
    note: pool.note,
  };
}
