import { bootMsOf, claimsPerSecondOf, idleMsOf, type LoadEstimate, type Windows } from './load-estimate.ts';
import { loadMax, type MissModel, missProbability, smallestSize } from './miss-probability.ts';
import type { OnMiss, PoolSize } from './pool-spec.ts';

/**
 * How many ready and starting sandboxes a pool wants: it is filled up to the smallest size that keeps misses under
 * `1 - targetHitRatio` at the offered load (claims per second × boot time), never under the promised burst, and then held
 * between `minReady` and `maxReady`.
 *
 * Two steps, because they change at different times. `demandOf` follows the load and is stored with its inputs. The bounds
 * are applied where the target is used (`targetOf`, and the store's scripts), so that scaling a pool takes effect at once.
 */

/** What the load asks for, before the bounds. */
export interface Demand {
  readonly load: LoadEstimate;
  /** The size wanted. Grows at once; shrinks when the load has asked for less for `shrinkDelayMs`. */
  readonly wanted: number;
  /** When the load last asked for as much, by the store's clock. */
  readonly wantedAtMs: number;
}

export type SizingRule = Pick<PoolSize, 'targetHitRatio' | 'burst' | 'scaleToZeroAfterMs' | 'onMiss'>;

/**
 * The demand after a new estimate. Falling is delayed so that the noise of a steady load boots nothing in vain; a pool that
 * nobody has used for `scaleToZeroAfter` has waited long enough and wants nothing at once.
 */
export function demandOf(rule: SizingRule, load: LoadEstimate, before: Demand | null): Demand {
  const asked = isUnused(rule, load) ? 0 : sizeFor(rule, load);
  const atMs = load.sampledAtMs;
  const isHeld =
    before !== null &&
    asked < before.wanted &&
    !isUnused(rule, load) &&
    atMs >= before.wantedAtMs &&
    atMs - before.wantedAtMs < shrinkDelayMs;
  return isHeld ? { ...before, load } : { load, wanted: asked, wantedAtMs: atMs };
}

/** How many ready + starting a pool wants. The store's `reserve-start` computes the same. */
export function targetOf(size: Pick<PoolSize, 'minReady' | 'maxReady'>, wanted: number): number {
  return Math.min(Math.max(size.minReady, wanted), size.maxReady);
}

/** Why a target is what it is. */
export const targetReasons = ['min_ready', 'load', 'surge', 'held', 'burst', 'unused'] as const;
export type TargetReason = (typeof targetReasons)[number];

/** What keeps a pool from having as many as its load asks for. */
export const targetLimits = ['none', 'max_ready', 'max_total', 'starts_in_flight'] as const;
export type TargetLimit = (typeof targetLimits)[number];

/** A pool's target with all that led to it. */
export interface Sizing {
  readonly claimsPerSecond: number;
  /** null until a sandbox has come up. */
  readonly bootMs: number | null;
  /** Claims in the time of one boot: how many boots a pool that never misses has in flight on average. */
  readonly offeredLoad: number;
  /** What the load asks for, before minReady and maxReady. */
  readonly wanted: number;
  /** Share of claims that will find a ready sandbox if the load stays and the pool keeps its target; null without load. */
  readonly hitRatioExpected: number | null;
  readonly reason: TargetReason;
  readonly limit: TargetLimit;
}

export function explainTarget(
  size: PoolSize,
  demand: Demand | null,
  now: { readonly ready: number; readonly starting: number; readonly live: number },
): Sizing {
  const target = targetOf(size, demand?.wanted ?? 0);
  const load = demand?.load ?? null;
  const erlangs = load ? offeredLoad(load) : 0;
  return {
    claimsPerSecond: load ? claimsPerSecondOf(load) : 0,
    bootMs: load && bootMsOf(load),
    offeredLoad: erlangs,
    wanted: demand?.wanted ?? 0,
    hitRatioExpected: erlangs > 0 ? 1 - missProbability(missModelOf(size.onMiss), target, erlangs) : null,
    reason: reasonOf(size, demand),
    limit: limitOf(size, demand?.wanted ?? 0, erlangs, { ...now, target }),
  };
}

function reasonOf(size: PoolSize, demand: Demand | null): TargetReason {
  if (!demand) return 'min_ready';
  const { load, wanted } = demand;
  if (isUnused(size, load) && size.minReady === 0) return 'unused';
  if (wanted <= size.minReady) return 'min_ready';
  if (sizeFor(size, load) < wanted) return 'held';
  if (wanted === size.burst && sizeForLoad(size, offeredLoad(load)) < wanted) return 'burst';
  return sizeForLoad(
    size,
    erlangsOf(load, (windows) => windows.stable),
  ) < wanted
    ? 'surge'
    : 'load';
}

function limitOf(
  size: PoolSize,
  wanted: number,
  erlangs: number,
  now: { readonly ready: number; readonly starting: number; readonly live: number; readonly target: number },
): TargetLimit {
  if (Math.max(size.minReady, wanted) > size.maxReady) return 'max_ready';
  if (now.ready + now.starting < now.target && now.live >= size.maxTotal) return 'max_total';
  // As many boots are in flight on average as the load says: with fewer at a time a pool of any size runs dry.
  return erlangs >= size.startsInFlightMax ? 'starts_in_flight' : 'none';
}

/** A pool in use keeps one at least: its load is not known before a first boot, and nothing else would cause that. */
function sizeFor(rule: SizingRule, load: LoadEstimate): number {
  const least = rule.targetHitRatio > 0 && load.claimedAtMs !== null ? 1 : 0;
  return Math.max(sizeForLoad(rule, offeredLoad(load)), rule.burst, least);
}

function sizeForLoad(rule: SizingRule, erlangs: number): number {
  const { targetHitRatio, onMiss } = rule;
  if (targetHitRatio === 0) return 0;
  return smallestSize(missModelOf(onMiss), erlangs, 1 - targetHitRatio, wantedMax);
}

/** A create that is refused takes nothing; every other miss is given a boot in flight. */
function missModelOf(onMiss: OnMiss): MissModel {
  return onMiss === 'fail' ? 'lost' : 'queued';
}

function isUnused(rule: SizingRule, load: LoadEstimate): boolean {
  return idleMsOf(load) >= rule.scaleToZeroAfterMs;
}

function offeredLoad(load: LoadEstimate): number {
  return erlangsOf(load, (windows) => Math.max(windows.stable, windows.panic));
}

function erlangsOf({ claimsPerSecond, bootMs }: LoadEstimate, chosen: (windows: Windows) => number): number {
  if (!bootMs) return 0;
  return Math.min((chosen(claimsPerSecond) * chosen(bootMs)) / 1_000, loadMax);
}

/** The largest pool a file may ask for. */
const wantedMax = 100_000;
/** As long as the stable window remembers: what it forgets sooner was noise. */
const shrinkDelayMs = 60_000;
