import type { Clock } from '../domain/clock.ts';
import { newSandboxId, shardOfPool } from '../domain/ids.ts';
import type { EndReason } from '../domain/sandbox.ts';
import { failpoint } from '../failpoints.ts';
import type { Log } from '../observability/log.ts';
import type { PoolSnapshot, PoolStore, TransitionAnswer } from '../store/pool-store.ts';
import type { Fleet } from './fleet.ts';
import { followLoad } from './follow-load.ts';
import type { NodePools } from './node-pools.ts';
import type { SandboxSupervisor, SupervisedSandbox } from './sandbox-supervisor.ts';
import { StartBudget } from './start-budget.ts';

/**
 * Keeps one pool at its target from this node. It owns nothing but the number of its own boots in flight: how many are
 * missing is decided by the store for every single start (`reserveStart` is atomic over ready + starting + target), so
 * any number of replenishers on any number of nodes, with any stale view, never start too many.
 *
 * A pass runs when woken (a claim, an ended boot, a changed size) and at least every second. It lets the target follow the
 * load, retires ready sandboxes that must not be handed out (too old, of an older template, too many), and then starts what
 * is missing: this node's share at once, and what others leave undone after a moment, one at a time.
 *
 * Every claim wakes the replenishers of its pool on all nodes. In a large fleet each rests after a pass, so that all of them
 * together look some thousand times a second, however many they are and however often the pool is claimed from.
 */
export class Replenisher implements AsyncDisposable {
  readonly pool: string;
  readonly #deps: ReplenisherDeps;
  readonly #nodeId: string;
  readonly #capacity: number;
  readonly #budget: StartBudget;
  readonly #boots = new Set<Promise<void>>();
  /** Those of the boots that no claim has taken over. */
  readonly #refills = new Set<string>();
  /** While this node has its share in flight and more is missing: when it may start one beyond it. */
  #othersTurnEndsMs: number | null = null;
  #stopped = false;
  #wake: () => void = () => {};
  #endRest: () => void = () => {};
  #awake = false;
  #running: Promise<void> = Promise.resolve();
  #note = '';

  constructor(deps: ReplenisherDeps, options: { pool: string; nodeId: string; capacity: number }) {
    this.#deps = deps;
    this.pool = options.pool;
    this.#nodeId = options.nodeId;
    this.#capacity = options.capacity;
    this.#budget = new StartBudget({ clock: deps.clock });
  }

  /** Why the pool is not at its target, in a sentence; empty when nothing is in its way. */
  get note(): string {
    return this.#note;
  }

  start(): void {
    this.#running = this.#run();
  }

  wake(): void {
    this.#awake = true;
    this.#wake();
  }

  /** A claim has made this boot its own: the pool misses one again. */
  takenOver(sandboxId: string): void {
    if (this.#refills.delete(sandboxId)) this.wake();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    this.#endRest();
    this.wake();
    await this.#running;
    await Promise.all(this.#boots);
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      this.#awake = false;
      let waitMs: number = passIntervalMs;
      try {
        await this.#retire(await this.#followLoad());
        waitMs = await this.#refill();
      } catch (error) {
        this.#note = 'the store does not answer';
        this.#deps.log.warn({ pool: this.pool, err: error }, 'a replenishing pass failed; trying again');
      }
      await this.#rest();
      await this.#sleep(Math.min(Math.max(waitMs, 1), passIntervalMs));
    }
  }

  /** Whatever wakes it meanwhile is looked at afterwards. */
  async #rest(): Promise<void> {
    const { fleet, clock } = this.#deps;
    const restMs = Math.min(fleet.size * restPerNodeMs, passIntervalMs);
    if (fleet.size <= nodesWithoutRest || this.#stopped) return;
    await new Promise<void>((resolve) => {
      const cancel = clock.after(restMs, resolve);
      this.#endRest = () => {
        cancel();
        resolve();
      };
    });
  }

  async #followLoad(): Promise<PoolSnapshot | null> {
    const { store } = this.#deps;
    const pool = await store.readPool(this.pool);
    return pool && followLoad(store, pool);
  }

  /** Starts until the store or the budget says no; returns how long to wait before the next pass. */
  async #refill(): Promise<number> {
    const { store, pools, supervisor } = this.#deps;
    for (;;) {
      const pool = pools.get(this.pool);
      if (!pool) {
        this.#note = 'no runtime on this node can boot this template';
        return passIntervalMs;
      }
      if (this.#stopped) return passIntervalMs;
      // Looking first keeps a full pool from spending tokens; the reservation below is what decides.
      const snapshot = await store.readPool(this.pool);
      if (!snapshot || snapshot.ready + snapshot.starting >= snapshot.target) {
        if (snapshot && snapshot.ready >= snapshot.target) this.#note = '';
        this.#othersTurnEndsMs = null;
        return passIntervalMs;
      }
      if (supervisor.size >= this.#capacity) {
        this.#note = 'this node has as many sandboxes as it may';
        return passIntervalMs;
      }
      const othersTurnMs = this.#othersTurnMs(snapshot);
      if (othersTurnMs > 0) return othersTurnMs;
      const waitMs = this.#budget.take(this.#boots.size);
      if (waitMs > 0) return waitMs;
      const answer = await store.reserveStart({
        id: newSandboxId(shardOfPool(this.pool)),
        pool: this.pool,
        nodeId: this.#nodeId,
        specVersion: pool.specVersion,
        bootTimeoutMs: pool.spec.template.bootTimeoutMs + reportGraceMs,
      });
      if (answer.kind === 'refused') {
        if (answer.why === 'max_total') this.#note = 'maxTotal is reached';
        if (answer.why === 'spec_changed')
          this.#note = 'another process declared a different template for this pool';
        return passIntervalMs;
      }
      failpoint('record');
      const { id } = answer.record;
      this.#refills.add(id);
      const boot = supervisor.boot(answer.record, 'refill').then((outcome) => {
        this.#boots.delete(boot);
        this.#refills.delete(id);
        if (outcome.kind === 'up') {
          this.#budget.succeeded();
          this.#note = '';
        } else if (outcome.kind === 'failed' && !this.#stopped) {
          this.#budget.failed();
          this.#note = this.#describeFailure();
        }
        this.wake();
      });
      this.#boots.add(boot);
    }
  }

  /** How long to leave it to the other nodes to start what is missing; 0 while this node has less than its share. */
  #othersTurnMs(snapshot: PoolSnapshot): number {
    const wanted = snapshot.target - snapshot.ready;
    if (this.#refills.size < this.#deps.fleet.shareOfBoots(wanted, this.pool)) {
      this.#othersTurnEndsMs = null;
      return 0;
    }
    const nowMs = this.#deps.clock.monotonicMs();
    this.#othersTurnEndsMs ??= nowMs + othersTurnMs;
    if (nowMs < this.#othersTurnEndsMs) return this.#othersTurnEndsMs - nowMs;
    this.#othersTurnEndsMs = null;
    return 0;
  }

  #describeFailure(): string {
    const seconds = Math.ceil(this.#budget.closedForMs / 1_000);
    return seconds > 0 ? `boots fail; next try in ${seconds} s` : 'the last boot failed';
  }

  /** Ends ready sandboxes of this node that are too old, outdated or too many. A claimed one is fenced off. */
  async #retire(snapshot: PoolSnapshot | null): Promise<void> {
    const { store, pools, supervisor, clock } = this.#deps;
    const pool = pools.get(this.pool);
    if (!pool) return;
    const nowMs = clock.monotonicMs();
    const mine = supervisor.entries().filter((entry) => entry.pool === this.pool && entry.phase === 'up');
    for (const entry of mine) {
      if (entry.specVersion !== pool.specVersion) await this.#retireOne(entry, 'spec_changed');
      else if (nowMs - entry.upSinceMs > pool.spec.size.maxIdleAgeMs)
        await this.#retireOne(entry, 'idle_age');
    }
    if (!snapshot) return;
    let surplus = snapshot.ready - snapshot.target;
    for (const { id, unclaimedIncarnation } of mine) {
      if (surplus <= 0) return;
      if (unclaimedIncarnation === null) continue;
      const answer = await store.retireSurplus({ id, incarnation: unclaimedIncarnation });
      if (answer.kind === 'no_surplus') return;
      if (this.#retired(id, answer)) surplus -= 1;
    }
  }

  async #retireOne(entry: ReplenishedSandbox, reason: EndReason): Promise<void> {
    const { id, unclaimedIncarnation } = entry;
    if (unclaimedIncarnation === null) return;
    const target = { id, tenant: null, incarnation: unclaimedIncarnation };
    this.#retired(id, await this.#deps.store.beginStop(target, reason));
  }

  #retired(id: string, answer: TransitionAnswer): boolean {
    if (answer.kind === 'refused') {
      if (answer.why === 'stale_incarnation') this.#deps.supervisor.noteClaimed(id);
      return false;
    }
    void this.#deps.supervisor.remove(id);
    return true;
  }

  #sleep(delayMs: number): Promise<void> {
    if (this.#awake) return Promise.resolve();
    return new Promise((resolve) => {
      const cancel = this.#deps.clock.after(delayMs, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
  }
}

/** What it has to know of a sandbox of this node. */
export type ReplenishedSandbox = Pick<
  SupervisedSandbox,
  'id' | 'pool' | 'specVersion' | 'unclaimedIncarnation' | 'phase' | 'upSinceMs'
>;

export interface ReplenisherDeps {
  readonly store: Pick<PoolStore, 'readPool' | 'noteDemand' | 'reserveStart' | 'retireSurplus' | 'beginStop'>;
  readonly pools: Pick<NodePools, 'get'>;
  readonly supervisor: Pick<SandboxSupervisor, 'boot' | 'noteClaimed' | 'remove' | 'size'> & {
    entries(): readonly ReplenishedSandbox[];
  };
  readonly fleet: Pick<Fleet, 'shareOfBoots' | 'size'>;
  readonly clock: Clock;
  readonly log: Log;
}

const passIntervalMs = 1_000;
/** A thousand looks a second for each pool, which are some 3 % of a Redis (docs/scale.md). */
const restPerNodeMs = 1;
/** Of fewer nodes each may look as often as it is woken: a replacement is begun a little sooner. */
const nodesWithoutRest = 10;
/** A node that lives has answered an event by then; a pool with one that does not is still refilled, if slower. */
const othersTurnMs = 250;
/** The slot outlives the boot's own timeout by this, so that a boot ends by its own error and not by the reaper's. */
export const reportGraceMs = 5_000;
