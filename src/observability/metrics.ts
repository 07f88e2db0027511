import { collectDefaultMetrics, Registry } from 'prom-client';
import type { RuntimeName } from '../domain/pool-spec.ts';
import { type EndReason, endReasons } from '../domain/sandbox.ts';
import { ClosedCounter, ClosedHistogram, PoolGauge } from './closed-metrics.ts';
import { DataPlaneMetrics } from './data-plane-metrics.ts';
import type { Figures } from './figures.ts';

/** How a create call ended: served from the pool or by a boot in the foreground, or not served. */
export const claimOutcomes = ['warm', 'cold', 'no_capacity', 'over_limit', 'failed', 'cancelled'] as const;
export type ClaimOutcome = (typeof claimOutcomes)[number];

/**
 * Why no ready sandbox served a claim: there was none, the pool's hard maximum was reached as well, too many wait already (in
 * all, or of this tenant), none is kept with the resources that were asked for, or the tenant had reached a limit of its own.
 */
export const missCauses = [
  'no_ready',
  'max_total',
  'queue_full',
  'tenant_queue_full',
  'not_as_asked',
  'over_limit',
  'node_lost',
] as const;
export type MissCause = (typeof missCauses)[number];

export const bootOutcomes = ['ready', 'failed', 'cancelled'] as const;
export type BootOutcome = (typeof bootOutcomes)[number];

export const execOutcomes = ['exited', 'signalled', 'timed_out', 'refused', 'lost'] as const;
export type ExecOutcome = (typeof execOutcomes)[number];

/** The verbs of the store's port that are one command each. */
export const storeVerbs = [
  'declarePool',
  'scalePool',
  'readPool',
  'noteDemand',
  'reserveStart',
  'reportReady',
  'reportFailed',
  'registerBound',
  'registerReady',
  'claim',
  'stopWaiting',
  'renew',
  'beginStop',
  'retireSurplus',
  'expire',
  'finishStop',
  'due',
  'get',
  'list',
  'inventory',
  'heartbeat',
  'nodes',
  'nodeOrders',
  'orderNode',
  'declareLost',
  'removeNode',
  'healIndexes',
] as const;
export type StoreVerb = (typeof storeVerbs)[number];

/** Everything lossy in the service, each with its counter (D20). */
const droppable = {
  output_bytes: 'Bytes of command output over the limit of a unary Exec.',
} as const;
export type Droppable = keyof typeof droppable;

const runtimes = ['docker', 'bubblewrap'] as const satisfies readonly RuntimeName[];

/** A hit is a fraction of a millisecond, a cold start tenths of a second, a wait up to the caller's patience. */
const claimBuckets = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 5, 30];
const bootBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3, 10, 30, 120];
const execBuckets = [0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30, 120, 600];
const storeBuckets = [0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.01, 0.05, 0.25, 1];

export interface PoolLevels {
  readonly ready: number;
  readonly starting: number;
  readonly live: number;
  /** Claims that wait for it. */
  readonly waiting: number;
  readonly target: number;
  /** What the load asks for, before minReady and maxReady. */
  readonly wanted: number;
  /** Erlangs. */
  readonly offeredLoad: number;
}

const noLevels: PoolLevels = {
  ready: 0,
  starting: 0,
  live: 0,
  waiting: 0,
  target: 0,
  wanted: 0,
  offeredLoad: 0,
};

/**
 * What the service counts, in the words of the domain and base units (seconds, bytes). One object, made by main.ts and
 * handed to whoever has something to count (it fits the observers of the allocator and the node); each instance has a
 * registry of its own, so that tests do not share one.
 */
export class Metrics {
  readonly #registry = new Registry();
  readonly #pools = new Set<string>();
  #refresh: () => Promise<void> = async () => {};

  readonly #claims = this.#counter('claims_total', 'Create calls by how they ended.', {
    outcome: claimOutcomes,
  });
  readonly #claimSeconds = new ClosedHistogram(
    this.#registry,
    'warmpool_claim_duration_seconds',
    'Create calls from the use case called to answered.',
    { outcome: claimOutcomes },
    claimBuckets,
  );
  readonly #misses = this.#counter('claim_misses_total', 'Claims that no ready sandbox served, by cause.', {
    cause: missCauses,
  });
  readonly #boots = this.#counter('boots_total', 'Boots by runtime and outcome.', {
    runtime: runtimes,
    outcome: bootOutcomes,
  });
  readonly #bootSeconds = new ClosedHistogram(
    this.#registry,
    'warmpool_boot_duration_seconds',
    'Boots that came up, from started to checked and ready.',
    { runtime: runtimes },
    bootBuckets,
  );
  readonly #levels = {
    ready: this.#poolGauge('pool_ready', 'Unclaimed warm sandboxes.'),
    starting: this.#poolGauge('pool_starting', 'Warm boots in flight.'),
    live: this.#poolGauge('pool_live', 'Sandboxes that have not ended.'),
    waiting: this.#poolGauge('pool_waiting', 'Creates that wait for a ready sandbox.'),
    target: this.#poolGauge('pool_target', 'How many ready and starting the pool wants.'),
    wanted: this.#poolGauge('pool_wanted', 'What the load of the pool asks for, before its bounds.'),
    offeredLoad: this.#poolGauge('pool_offered_load', 'Claims in the time of one boot.'),
  };
  readonly #ended = this.#counter('sandboxes_ended_total', 'Sandboxes that ended, by reason.', {
    reason: endReasons,
  });
  readonly #execs = this.#counter('execs_total', 'Commands by how they ended.', { outcome: execOutcomes });
  readonly #execSeconds = new ClosedHistogram(
    this.#registry,
    'warmpool_exec_duration_seconds',
    'Commands from asked for to ended.',
    {},
    execBuckets,
  );
  readonly #storeSeconds = new ClosedHistogram(
    this.#registry,
    'warmpool_store_command_duration_seconds',
    'Commands to the store that were answered.',
    { verb: storeVerbs },
    storeBuckets,
  );
  readonly #unreplicatedClaims = this.#counter(
    'store_unreplicated_claims_total',
    'Claims that no replica had confirmed in time, with WARMPOOL_REDIS_DURABILITY=wait.',
    {},
  );
  readonly #storeErrors = this.#counter(
    'store_errors_total',
    'Commands to the store with no known outcome.',
    {
      verb: storeVerbs,
    },
  );
  readonly #healed = this.#counter(
    'lease_index_healed_total',
    'Index members put right; 0 in a healthy store.',
    {},
  );
  readonly #orphans = this.#counter(
    'orphans_destroyed_total',
    'Objects without a record that were destroyed.',
    { runtime: runtimes },
  );
  readonly #claimConflicts = this.#counter(
    'claim_conflicts_total',
    'First uses that the node refused, because another claim had the sandbox already.',
    {},
  );
  readonly #nodesLost = this.#counter('nodes_lost_total', 'Nodes that were not heard of any more.', {});
  /** For the data plane, which counts far more often than the rest. */
  readonly dataPlane = new DataPlaneMetrics(this.#registry);
  readonly #dropped = new Map<Droppable, ClosedCounter<Record<never, never>>>();

  constructor(pools: readonly string[]) {
    for (const [what, help] of Object.entries(droppable)) {
      this.#dropped.set(what as Droppable, this.#counter(`${what}_dropped_total`, help, {}));
    }
    this.setPools(pools);
  }

  /** Node.js's own figures of this process; not in tests, which make many instances. */
  collectProcess(): void {
    collectDefaultMetrics({ register: this.#registry });
  }

  /** The pools that may be labels. Those no longer there lose their series. */
  setPools(names: readonly string[]): void {
    for (const name of this.#pools) {
      if (names.includes(name)) continue;
      for (const gauge of Object.values(this.#levels)) gauge.remove(name);
      this.#pools.delete(name);
    }
    for (const name of names) {
      if (this.#pools.has(name)) continue;
      this.#pools.add(name);
      this.poolLevels(name, noLevels);
    }
  }

  claimEnded(outcome: ClaimOutcome, seconds: number): void {
    this.#claims.add({ outcome });
    this.#claimSeconds.observe({ outcome }, seconds);
  }

  missed(cause: MissCause): void {
    this.#misses.add({ cause });
  }

  /** `seconds` counts only for boots that came up: a failure says nothing about how long booting takes. */
  bootEnded(runtime: RuntimeName, outcome: BootOutcome, seconds: number): void {
    this.#boots.add({ runtime, outcome });
    if (outcome === 'ready') this.#bootSeconds.observe({ runtime }, seconds);
  }

  /** Levels of a pool that is not configured here (another allocator's) are not kept. */
  poolLevels(pool: string, levels: PoolLevels): void {
    if (!this.#pools.has(pool)) return;
    this.#levels.ready.set(pool, levels.ready);
    this.#levels.starting.set(pool, levels.starting);
    this.#levels.live.set(pool, levels.live);
    this.#levels.waiting.set(pool, levels.waiting);
    this.#levels.target.set(pool, levels.target);
    this.#levels.wanted.set(pool, levels.wanted);
    this.#levels.offeredLoad.set(pool, levels.offeredLoad);
  }

  sandboxEnded(reason: EndReason): void {
    this.#ended.add({ reason });
  }

  execEnded(outcome: ExecOutcome, seconds: number): void {
    this.#execs.add({ outcome });
    this.#execSeconds.observe({}, seconds);
  }

  storeAnswered(verb: StoreVerb, seconds: number): void {
    this.#storeSeconds.observe({ verb }, seconds);
  }

  claimNotReplicated(): void {
    this.#unreplicatedClaims.add({});
  }

  storeFailed(verb: StoreVerb): void {
    this.#storeErrors.add({ verb });
  }

  indexHealed(count: number): void {
    this.#healed.add({}, count);
  }

  orphanDestroyed(runtime: RuntimeName): void {
    this.#orphans.add({ runtime });
  }

  claimConflict(): void {
    this.#claimConflicts.add({});
  }

  nodeLost(): void {
    this.#nodesLost.add({});
  }

  dropped(what: Droppable, count: number): void {
    this.#dropped.get(what)?.add({}, count);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Called before each scrape, to read the levels afresh. Its failure leaves the old levels standing. */
  refreshBy(refresh: () => Promise<void>): void {
    this.#refresh = refresh;
  }

  /** The Prometheus text format. */
  async expose(): Promise<string> {
    await this.#gather();
    return this.#registry.metrics();
  }

  /** The same, for another process to put together with its own. */
  async figures(): Promise<Figures> {
    await this.#gather();
    return this.#registry.getMetricsAsJSON();
  }

  async #gather(): Promise<void> {
    await this.#refresh().catch(() => {});
    this.dataPlane.flush();
  }

  #counter<const Labels extends Readonly<Record<string, readonly string[]>>>(
    name: string,
    help: string,
    labels: Labels,
  ) {
    return new ClosedCounter(this.#registry, `warmpool_${name}`, help, labels);
  }

  #poolGauge(name: string, help: string): PoolGauge {
    return new PoolGauge(this.#registry, `warmpool_${name}`, help);
  }
}
