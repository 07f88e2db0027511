import type { PoolSize } from '../../domain/pool-spec.ts';
import { type Demand, targetOf } from '../../domain/sizing.ts';
import type { PoolCounters, PoolDeclaration, PoolSnapshot, SizeChange } from '../pool-store.ts';
import { WaitQueue } from './wait-queue.ts';

type MutableCounters = { -readonly [name in keyof PoolCounters]: number };

/**
 * One pool: its size, its counters and the ids in each of its indexes. The sets are ordered by insertion, so the
 * first of `ready` is the one that has waited longest.
 */
export class MemoryPool {
  readonly name: string;
  specVersion: string;
  #declared: PoolSize;
  #overrides: SizeChange = {};
  #demand: Demand | null = null;
  readonly ready = new Set<string>();
  readonly starting = new Set<string>();
  readonly live = new Set<string>();
  readonly queue = new WaitQueue();
  /** Ready ones that are kept for a tenant, less those it has. */
  reserved: Readonly<Record<string, number>> = {};
  readonly counters: MutableCounters = {
    hits: 0,
    missesEmpty: 0,
    missesUncacheable: 0,
    missesOverLimit: 0,
    startsWarm: 0,
    startsCold: 0,
    startsFailed: 0,
    boots: 0,
    bootMs: 0,
  };

  constructor(declaration: PoolDeclaration) {
    this.name = declaration.name;
    this.specVersion = declaration.specVersion;
    this.#declared = declaration.size;
  }

  declare(declaration: PoolDeclaration): void {
    this.specVersion = declaration.specVersion;
    if (!sameSize(this.#declared, declaration.size)) this.#overrides = {};
    this.#declared = declaration.size;
    if (declaration.reserved !== undefined) this.reserved = declaration.reserved;
  }

  scale(change: SizeChange): void {
    this.#overrides = { ...this.#overrides, ...change };
  }

  get size(): PoolSize {
    return { ...this.#declared, ...this.#overrides };
  }

  get target(): number {
    return targetOf(this.size, this.#demand?.wanted ?? 0);
  }

  /** Only if it follows the last one. */
  note(follows: Demand | null, demand: Demand): void {
    if (this.#demand?.load.sampledAtMs === follows?.load.sampledAtMs) this.#demand = demand;
  }

  /** Why it wants no more than it has; null: it does. */
  whyNoMore(specVersion: string): 'spec_changed' | 'target_met' | 'max_total' | null {
    if (this.specVersion !== specVersion) return 'spec_changed';
    if (this.ready.size + this.starting.size >= this.target) return 'target_met';
    return this.live.size >= this.size.maxTotal ? 'max_total' : null;
  }

  /** Why nothing is to be started for it. */
  whyNoStart(specVersion: string): ReturnType<MemoryPool['whyNoMore']> | 'starts_in_flight' {
    const why = this.whyNoMore(specVersion);
    const isBusy = this.starting.size >= this.size.startsInFlightMax;
    return isBusy && (why === null || why === 'max_total') ? 'starts_in_flight' : why;
  }

  countBoot(tookMs: number): void {
    this.counters.boots += 1;
    this.counters.bootMs += tookMs;
  }

  drop(sandboxId: string): void {
    for (const index of [this.ready, this.starting, this.live]) index.delete(sandboxId);
  }

  snapshot(nowMs: number): PoolSnapshot {
    return {
      name: this.name,
      specVersion: this.specVersion,
      size: this.size,
      target: this.target,
      demand: this.#demand,
      ready: this.ready.size,
      starting: this.starting.size,
      live: this.live.size,
      waiting: this.queue.count(nowMs),
      counters: { ...this.counters },
      readAtMs: nowMs,
    };
  }
}

function sameSize(a: PoolSize, b: PoolSize): boolean {
  return (
    a.minReady === b.minReady &&
    a.maxReady === b.maxReady &&
    a.maxTotal === b.maxTotal &&
    a.startsInFlightMax === b.startsInFlightMax &&
    a.maxIdleAgeMs === b.maxIdleAgeMs &&
    a.onMiss === b.onMiss &&
    a.targetHitRatio === b.targetHitRatio &&
    a.burst === b.burst &&
    a.scaleToZeroAfterMs === b.scaleToZeroAfterMs
  );
}
