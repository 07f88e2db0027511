import type { Clock } from '../domain/clock.ts';
import { newSandboxId, shardOfPool } from '../domain/ids.ts';
import type { EndReason } from '../domain/sandbox.ts';
import type { Log } from '../observability/log.ts';
import type { PoolStore } from '../store/pool-store.ts';
import type { NodePools } from './node-pools.ts';
import type { SandboxSupervisor, SupervisedSandbox } from './sandbox-supervisor.ts';
import { StartBudget } from './start-budget.ts';

/**
 * Keeps one pool at its target from this node. It owns nothing but the number of its own boots in flight: how many are
 * missing is decided by the store for every single start (`reserveStart` is atomic over ready + starting + target), so
 * any number of replenishers on any number of nodes, with any stale view, never start too many.
 *
 * A pass runs when woken (a claim, an ended boot, a changed size) and at least every second. It first retires ready
 * sandboxes that must not be handed out (too old, of an older template, too many), then starts what is missing.
 */
export class Replenisher implements AsyncDisposable {
  readonly pool: string;
  readonly #deps: ReplenisherDeps;
  readonly #nodeId: string;
  readonly #budget: StartBudget;
  readonly #boots = new Set<Promise<void>>();
  #stopped = false;
  #wake: () => void = () => {};
  #awake = false;
  #running: Promise<void> = Promise.resolve();
  #note = '';

  constructor(deps: ReplenisherDeps, options: { pool: string; nodeId: string }) {
    this.#deps = deps;
    this.pool = options.pool;
    this.#nodeId = options.nodeId;
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

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    this.wake();
    await this.#running;
    await Promise.all(this.#boots);
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      this.#awake = false;
      let waitMs: number = passIntervalMs;
      try {
        await this.#retire();
        waitMs = await this.#refill();
      } catch (error) {
        this.#note = 'the store does not answer';
        this.#deps.log.warn({ pool: this.pool, err: error }, 'a replenishing pass failed; trying again');
      }
      await this.#sleep(Math.min(Math.max(waitMs, 1), passIntervalMs));
    }
  }

  /** Starts until the store or the budget says no; returns how long to wait before the next pass. */
  async #refill(): Promise<number> {
    const { store, pools } = this.#deps;
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
        return passIntervalMs;
      }
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
      const boot = this.#deps.supervisor.boot(answer.record, 'refill').then((outcome) => {
        this.#boots.delete(boot);
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

  #describeFailure(): string {
    const seconds = Math.ceil(this.#budget.closedForMs / 1_000);
    return seconds > 0 ? `boots fail; next try in ${seconds} s` : 'the last boot failed';
  }

  /** Ends ready sandboxes of this node that are too old, outdated or too many. A claimed one is fenced off. */
  async #retire(): Promise<void> {
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
    const snapshot = await store.readPool(this.pool);
    if (!snapshot) return;
    let surplus = snapshot.ready - snapshot.target;
    for (const entry of mine) {
      if (surplus <= 0) return;
      if (await this.#retireOne(entry, 'scaled_down')) surplus -= 1;
    }
  }

  async #retireOne(entry: SupervisedSandbox, reason: EndReason): Promise<boolean> {
    const { id, unclaimedIncarnation } = entry;
    if (unclaimedIncarnation === null) return false;
    const target = { id, tenant: null, incarnation: unclaimedIncarnation };
    const answer = await this.#deps.store.beginStop(target, reason);
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

export interface ReplenisherDeps {
  readonly store: PoolStore;
  readonly pools: NodePools;
  readonly supervisor: SandboxSupervisor;
  readonly clock: Clock;
  readonly log: Log;
}

const passIntervalMs = 1_000;
/** The slot outlives the boot's own timeout by this, so that a boot ends by its own error and not by the reaper's. */
export const reportGraceMs = 5_000;
