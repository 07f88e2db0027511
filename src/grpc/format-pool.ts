import type { PoolView } from '../allocator/api.ts';
import { explainTarget } from '../domain/sizing.ts';
import type { Pool } from './gen/warmpool/v1/Pool.ts';
import type { PoolSizing } from './gen/warmpool/v1/PoolSizing.ts';
import { wireOnMiss, wireTargetLimit, wireTargetReason } from './wire/enum-names.ts';
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
      targetHitRatio: size.targetHitRatio,
      burst: size.burst,
      scaleToZeroAfter: formatDuration(size.scaleToZeroAfterMs),
    },
    target: pool.target,
    ready: pool.ready,
    starting: pool.starting,
    live: pool.live,
    waiting: pool.waiting,
    counters: { ...counters },
    note: pool.note,
    sizing: formatSizing(pool),
  };
}

function formatSizing(pool: PoolView): PoolSizing {
  const sizing = explainTarget(pool.size, pool.demand, pool);
  const { claimsPerSecond, bootMs, offeredLoad, wanted, hitRatioExpected, reason, limit } = sizing;
  return {
    claimsPerSecond,
    ...(bootMs === null ? {} : { bootTime: formatDuration(bootMs) }),
    offeredLoad,
    wanted,
    ...(hitRatioExpected === null ? {} : { expectedHitRatio: hitRatioExpected }),
    reason: wireTargetReason[reason],
    limit: wireTargetLimit[limit],
  };
}
