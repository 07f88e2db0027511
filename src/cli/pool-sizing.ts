import type { PoolSummary } from '../client/views.ts';

/** Why the target is what it is, in a word or two for a table. */
export function whyCell({ sizing }: PoolSummary): string {
  const { reason, limit } = sizing;
  const why = reason === 'min_ready' ? 'minReady' : reason;
  return limit in limitNames ? `${why}, limited by ${limitNames[limit as keyof typeof limitNames]}` : why;
}

/** The computation in one sentence. */
export function sizingSentence({ sizing, target, targetHitRatio }: PoolSummary): string {
  const { claimsPerSecond, bootMs, offeredLoad, wanted, expectedHitRatio } = sizing;
  if (targetHitRatio === 0) return 'The pool does not follow its load.';
  if (bootMs === null) return 'No boot has come up yet, so the load is not known.';
  const load = `${round(claimsPerSecond)} claims/s with boots of ${round(bootMs / 1_000)} s are a load of ${round(offeredLoad)}`;
  const asks = `${percent(targetHitRatio)} from a ready sandbox asks for ${wanted}`;
  const expects =
    expectedHitRatio === null ? '' : `; the target of ${target} serves ${percent(expectedHitRatio)}`;
  return `${load}; ${asks}${expects}.`;
}

/** The field names are those of the contract, and stay. */
export function sizingJson({ sizing }: PoolSummary): object {
  return {
    claims_per_second: sizing.claimsPerSecond,
    boot_time_ms: sizing.bootMs,
    offered_load: sizing.offeredLoad,
    wanted: sizing.wanted,
    expected_hit_ratio: sizing.expectedHitRatio,
    reason: sizing.reason,
    limit: sizing.limit,
  };
}

const limitNames = {
  max_ready: 'maxReady',
  max_total: 'maxTotal',
  starts_in_flight: 'startsInFlightMax',
} as const;

function round(value: number): string {
  // What is left of a load of long ago.
  if (value > 0 && value < 0.001) return 'under 0.001';
  return String(Number(value.toPrecision(3)));
}

function percent(ratio: number): string {
  return `${round(ratio * 100)} %`;
}
