/**
 * What is known of a pool's load: how often sandboxes are claimed and how long one takes to boot, each seen through two
 * windows. The stable one forgets in a minute, the panic one in six seconds (the proportions of Knative's autoscaler); the
 * larger of both counts, so an estimate rises in seconds and falls in minutes.
 *
 * Both come from counters that the store keeps anyway. An estimate folds what the counters gained since the one before into
 * averages that decay with the time between (1 − e^(−Δt/window)), so it does not matter who makes it, or how regularly.
 * Times are those of the store's clock.
 */
export interface LoadEstimate {
  readonly sampledAtMs: number;
  /** The counters as they were then. */
  readonly counted: LoadCounters;
  readonly claimsPerSecond: Windows;
  /** Milliseconds from a reserved start to a checked, ready sandbox; null until one has come up. */
  readonly bootMs: Windows | null;
  readonly beganAtMs: number;
  /** When a claim was last seen; null: none has been since the estimating began. */
  readonly claimedAtMs: number | null;
}

export interface Windows {
  readonly stable: number;
  readonly panic: number;
}

/** Counters that only grow, while the store keeps what it was told. */
export interface LoadCounters {
  /** Claims that a ready sandbox served or could have served. */
  readonly claims: number;
  readonly boots: number;
  /** What these boots took, in all. */
  readonly bootMs: number;
}

export function firstEstimate(counted: LoadCounters, atMs: number): LoadEstimate {
  return {
    sampledAtMs: atMs,
    counted,
    claimsPerSecond: { stable: 0, panic: 0 },
    bootMs: null,
    beganAtMs: atMs,
    claimedAtMs: null,
  };
}

/** The estimate after another look at the counters; null while it is too early for one. */
export function nextEstimate(before: LoadEstimate, counted: LoadCounters, atMs: number): LoadEstimate | null {
  const passedMs = atMs - before.sampledAtMs;
  // The clock or the counters went back: the store was restored or has failed over. What is known stays, counting goes on.
  if (passedMs < 0 || hasLost(before.counted, counted)) {
    const { beganAtMs, claimedAtMs } = before;
    return {
      ...before,
      sampledAtMs: atMs,
      counted,
      beganAtMs: Math.min(beganAtMs, atMs),
      claimedAtMs: claimedAtMs && Math.min(claimedAtMs, atMs),
    };
  }
  if (passedMs < sampleIntervalMs) return null;
  const claims = counted.claims - before.counted.claims;
  return {
    sampledAtMs: atMs,
    counted,
    claimsPerSecond: folded(before.claimsPerSecond, (claims * 1_000) / passedMs, passedMs),
    bootMs: nextBootMs(before, counted, passedMs),
    beganAtMs: before.beganAtMs,
    claimedAtMs: claims > 0 ? atMs : before.claimedAtMs,
  };
}

/** How long nobody has claimed from the pool. */
export function idleMsOf({ sampledAtMs, claimedAtMs, beganAtMs }: LoadEstimate): number {
  return sampledAtMs - (claimedAtMs ?? beganAtMs);
}

/** The rate and the boot time that count. */
export function claimsPerSecondOf({ claimsPerSecond }: LoadEstimate): number {
  return Math.max(claimsPerSecond.stable, claimsPerSecond.panic);
}

export function bootMsOf({ bootMs }: LoadEstimate): number | null {
  return bootMs && Math.max(bootMs.stable, bootMs.panic);
}

/** A single slow boot must not be remembered until the next one: without news the panic window returns to the stable. */
function nextBootMs(before: LoadEstimate, counted: LoadCounters, passedMs: number): Windows | null {
  const boots = counted.boots - before.counted.boots;
  const known = before.bootMs;
  if (boots === 0) {
    return known && { ...known, panic: approach(known.panic, known.stable, passedMs, panicWindowMs) };
  }
  const meanMs = (counted.bootMs - before.counted.bootMs) / boots;
  return known ? folded(known, meanMs, passedMs) : { stable: meanMs, panic: meanMs };
}

function folded(windows: Windows, seen: number, passedMs: number): Windows {
  return {
    stable: approach(windows.stable, seen, passedMs, stableWindowMs),
    panic: approach(windows.panic, seen, passedMs, panicWindowMs),
  };
}

function approach(from: number, to: number, passedMs: number, windowMs: number): number {
  return from + (to - from) * -Math.expm1(-passedMs / windowMs);
}

function hasLost(before: LoadCounters, now: LoadCounters): boolean {
  return now.claims < before.claims || now.boots < before.boots || now.bootMs < before.bootMs;
}

/** A claim is seen this late at most; one small write in a second is nothing beside the claims it counts. */
export const sampleIntervalMs = 1_000;
const stableWindowMs = 60_000;
const panicWindowMs = 6_000;
