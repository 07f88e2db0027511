import type { Clock } from '../domain/clock.ts';
import { isWarmpoolError } from '../domain/errors.ts';
import type { RuntimeName } from '../domain/pool-spec.ts';
import type { SandboxRecord, SandboxState } from '../domain/sandbox.ts';
import { isEnded } from '../domain/transitions.ts';
import type { Log } from '../observability/log.ts';
import type { RuntimeObject, SandboxRuntime } from '../runtime/sandbox-runtime.ts';
import { embeddedStorePrefix, type NodeFence, type PoolStore } from '../store/pool-store.ts';
import type { BindJournal } from './bind-journal.ts';
import type { NodePools } from './node-pools.ts';
import type { NodeObserver } from './observer.ts';
import type { Registrar } from './registrar.ts';
import type { SandboxSupervisor, SupervisedSandbox } from './sandbox-supervisor.ts';

/**
 * Makes the store's records of this node and the objects on it agree, every 5 s and at start. Level-triggered: it
 * looks at what is, not at what happened, so whatever was lost in between (an event, an answer, a process) is repaired
 * by the next pass. A pass in which the store or a runtime does not answer ends there and kills nothing; one sandbox
 * that cannot be settled (its record is damaged, its object will not go) is left as it is and keeps no other waiting.
 *
 * An object without a record is destroyed only on evidence (D13): it is older than `orphanAgeMs`, the store has been
 * healthy and the same run for `storeHealthyMs`, and the budget of this minute is not spent. Two kinds need no patience:
 * an object that died with the process that made it, and one whose record lived in another process's embedded store.
 *
 * What somebody uses is no orphan, whatever the store has forgotten (I10): where the store differs from the node's journal
 * of claims, the store is told anew (D9), the whole time that the sandbox runs. A store that lost its pools is told of
 * them as well, and gets back what was never used, as much of it as the pools want; the rest are orphans. Turned down:
 * destroying all unused ones after such a loss. The pools would be empty at the moment when every node refills at once.
 */
export class Reconciler {
  readonly #deps: ReconcilerDeps;
  readonly #nodeId: string;
  /** Boots without an entry, seen in the last pass: the answer that reserves one may still be on its way. */
  #unclaimedBoots = new Set<string>();
  #spent: number[] = [];
  /** Orphans that the budget has paid for: one that will not go is not paid for again. */
  #paidFor = new Set<string>();
  /** What could not be settled in the last pass, so that each is told about once. */
  #stuck: ReadonlySet<string> = new Set();
  /** Which run of the store answered in the last pass; null before the first. */
  #runId: string | null = null;
  #runChangedAtMs = Number.NEGATIVE_INFINITY;

  constructor(deps: ReconcilerDeps, options: { nodeId: string }) {
    this.#deps = deps;
    this.#nodeId = options.nodeId;
  }

  async pass(): Promise<void> {
    const { store, supervisor } = this.#deps;
    // Objects and links first: one that appears after this look cannot be mistaken for one without a record.
    const found = await this.#listObjects();
    const linked = supervisor.entries().filter((entry) => entry.phase === 'up');
    await this.#declareLostPools();
    const records = await store.inventory(this.#nodeId);
    const isSameRun = this.#isSameRun();
    const objects = new Map(found.map((each) => [each.object.sandboxId, each]));
    const unclaimedBoots = new Set<string>();
    const stuck = new Set<string>();
    for (const record of records) {
      if (record.state === 'starting' && !supervisor.has(record.id)) unclaimedBoots.add(record.id);
      await this.#settle(record.id, stuck, () =>
        this.#settleRecord(record, objects.get(record.id), isSameRun),
      );
    }
    this.#unclaimedBoots = unclaimedBoots;

    const recorded = new Set(records.map((record) => record.id));
    this.#paidFor = new Set([...this.#paidFor].filter((id) => objects.has(id)));
    for (const entry of linked) {
      if (recorded.has(entry.id)) continue;
      await this.#settle(entry.id, stuck, () =>
        this.#settleUnrecorded(entry, objects.get(entry.id), found.length),
      );
    }
    for (const { object, runtime } of found) {
      const { sandboxId } = object;
      if (recorded.has(sandboxId) || supervisor.has(sandboxId)) continue;
      await this.#settle(sandboxId, stuck, () => this.#settleOrphan({ object, runtime }, found.length));
    }
    this.#forgetGone(objects);
    this.#stuck = stuck;
  }

  /** Whether the store has forgotten nothing since the last pass, as far as one can know. */
  #isSameRun(): boolean {
    const { healthy, runId } = this.#deps.store.health();
    if (!healthy) return false;
    const nowMs = this.#deps.clock.monotonicMs();
    if (this.#runId !== null && this.#runId !== runId) this.#runChangedAtMs = nowMs;
    this.#runId = runId;
    return nowMs - this.#runChangedAtMs >= storeHealthyMs;
  }

  /** Asks every runtime, so that it is known which ones are silent, and throws what the first of those said. */
  async #listObjects(): Promise<readonly FoundObject[]> {
    const { pools } = this.#deps;
    const found: FoundObject[] = [];
    const silent = new Set<RuntimeName>();
    const errors: unknown[] = [];
    for (const runtime of pools.runtimes()) {
      try {
        for (const object of await runtime.list()) found.push({ object, runtime });
      } catch (error) {
        silent.add(runtime.name);
        errors.push(error);
      }
    }
    pools.silentNow(silent);
    if (errors.length > 0) throw errors[0];
    return found;
  }

  /** A store that does not answer ends the pass; anything else is this one sandbox's own trouble. */
  async #settle(sandboxId: string, stuck: Set<string>, step: () => Promise<void>): Promise<void> {
    try {
      await step();
    } catch (error) {
      if (isWarmpoolError(error) && error.code === 'STORE_UNAVAILABLE') throw error;
      stuck.add(sandboxId);
      if (this.#stuck.has(sandboxId)) return;
      this.#deps.log.error(
        { sandbox: sandboxId, err: error },
        'a sandbox could not be settled; trying again',
      );
    }
  }

  async #settleRecord(
    record: SandboxRecord,
    found: FoundObject | undefined,
    isSameRun: boolean,
  ): Promise<void> {
    const { supervisor } = this.#deps;
    if (await this.#settleBound(record, found, isSameRun)) return;
    switch (record.state) {
      case 'stopping':
      case 'stopped':
      case 'failed':
        if (await this.#isStillOver(record)) await supervisor.remove(record.id);
        return;
      case 'starting':
        if (supervisor.has(record.id)) {
          // Long up, but the store was put back to a time when it was not. Repeating the report changes nothing else.
          if (supervisor.guest(record.id)) await this.#deps.store.reportReady(this.#fenceOf(record));
        } else if (record.claim && !found) {
          // A cold start assigned to this node whose event was lost.
          void supervisor.boot(record, 'foreground');
        } else if (this.#unclaimedBoots.has(record.id)) {
          await this.#lose(record, 'boot_failed', 'the node restarted while this sandbox was booting');
        }
        return;
      default:
        if (supervisor.has(record.id)) return;
        if (found?.object.running && found.runtime.survivesNode) {
          if (await supervisor.adopt(record, found.runtime)) return;
        }
        await this.#lose(record, 'object_lost', 'nothing runs on the node under this id any more');
    }
  }

  /**
   * What was removed before it may have kept the pass waiting, and a store that was put back meanwhile may have taken back
   * the end of what somebody uses: that is looked up once more. The node's own timer has a say as well (D12), and comes
   * back to it.
   */
  async #isStillOver(record: SandboxRecord): Promise<boolean> {
    const { store, journal } = this.#deps;
    if (journal.of(record.id) === null) return true;
    const now = await store.get(record.id, null);
    return now !== null && journal.agrees(now) && isEnding(now.state) && journal.timerLeftMs(now) === 0;
  }

  /** For a sandbox that somebody has used and that runs: true when there is nothing else to do about its record. */
  async #settleBound(
    record: SandboxRecord,
    found: FoundObject | undefined,
    isSameRun: boolean,
  ): Promise<boolean> {
    const { supervisor, journal, registrar } = this.#deps;
    const bound = journal.of(record.id);
    if (bound === null) return false;
    const isItsOwn = journal.agrees(record);
    if (isItsOwn && isEnding(record.state)) return false;
    if (!supervisor.has(record.id)) {
      if (!found?.object.running || !found.runtime.survivesNode) return false;
      if (!(await supervisor.adopt(bound, found.runtime))) return false;
    }
    // Its link is being made: what the store says of another claim is not to be obeyed in the meantime.
    if (supervisor.guest(record.id) === null) return !isItsOwn;
    if (!isItsOwn || !record.lease) return registrar.registerBound(record.id);
    // A store that was put back has forgotten renewals: what was left by its word before that counts.
    const isShorter = record.lease.remainingMs + leaseSlackMs < bound.leaseLeftMs;
    if (isSameRun || !isShorter) journal.leaseSeen(record);
    else await registrar.registerBound(record.id);
    return true;
  }

  async #lose(record: SandboxRecord, reason: 'boot_failed' | 'object_lost', failure: string): Promise<void> {
    const answer = await this.#deps.store.reportFailed(this.#fenceOf(record), reason, failure);
    if (answer.kind === 'refused') return;
    this.#deps.observer.sandboxEnded(reason);
    await this.#deps.supervisor.remove(record.id);
  }

  #fenceOf({ id, incarnation }: SandboxRecord): NodeFence {
    return { id, nodeId: this.#nodeId, incarnation };
  }

  /** Linked here, and the store has no record of it. */
  async #settleUnrecorded(
    entry: SupervisedSandbox,
    found: FoundObject | undefined,
    objectCount: number,
  ): Promise<void> {
    const { store, supervisor, journal, registrar } = this.#deps;
    // Let go of meanwhile, or damaged: then this throws.
    if (await store.get(entry.id, null)) return;
    if (supervisor.guest(entry.id) === null) return;
    const isTold =
      journal.of(entry.id) === null
        ? await registrar.registerReady(entry)
        : await registrar.registerBound(entry.id);
    if (isTold || !found || !this.#mayDestroy(found.object, objectCount)) return;
    this.#deps.log.warn({ sandbox: entry.id }, 'removing an unused sandbox that has no record');
    await supervisor.remove(entry.id);
    this.#deps.observer.orphanDestroyed(found.runtime.name);
  }

  async #settleOrphan({ object, runtime }: FoundObject, objectCount: number): Promise<void> {
    const { store, supervisor, journal, registrar, log, observer } = this.#deps;
    const { sandboxId } = object;
    const bound = journal.of(sandboxId);
    if (bound !== null && object.running && runtime.survivesNode) {
      if (await store.get(sandboxId, null)) return;
      if (await supervisor.adopt(bound, runtime)) {
        await registrar.registerBound(sandboxId);
        return;
      }
    }
    if (!object.leftOver && !this.#isOfDeadStore(object)) {
      if (object.ageMs < orphanAgeMs || !this.#storeIsTrusted()) return;
      // The inventory leaves damaged records out; the record itself has the last word, and a damaged one throws.
      if (await store.get(sandboxId, null)) return;
      if (!this.#mayDestroy(object, objectCount)) return;
    }
    log.warn({ sandbox: sandboxId, runtime: runtime.name }, 'destroying an object that has no record');
    await runtime.destroy(sandboxId);
    observer.orphanDestroyed(runtime.name);
  }

  /** The evidence of D13 but for the record, which the caller has looked for. */
  #mayDestroy(object: RuntimeObject, objectCount: number): boolean {
    const { sandboxId } = object;
    if (object.ageMs < orphanAgeMs || !this.#storeIsTrusted()) return false;
    if (!this.#paidFor.has(sandboxId) && !this.#takeFromBudget(objectCount)) {
      this.#deps.log.error(
        { node: this.#nodeId, sandbox: sandboxId },
        'more objects without a record than the budget allows to destroy in a minute: is this the right store?',
      );
      return false;
    }
    this.#paidFor.add(sandboxId);
    return true;
  }

  /** A store that was emptied knows no pools, and nobody else tells it of them before the next start. */
  async #declareLostPools(): Promise<void> {
    const { store, pools, log } = this.#deps;
    for (const name of pools.names()) {
      const pool = pools.get(name);
      if (!pool || (await store.readPool(name)) !== null) continue;
      log.warn({ pool: name }, 'the store has lost this pool; it is told of it anew');
      await store.declarePool({ name, specVersion: pool.specVersion, size: pool.spec.size });
    }
  }

  /** Bindings of what is gone: it ended while nobody could write that down. */
  #forgetGone(objects: ReadonlyMap<string, FoundObject>): void {
    const { journal, supervisor, pools } = this.#deps;
    for (const { id, pool } of journal.all()) {
      // A runtime that was not asked has not said that it is gone.
      if (pools.get(pool) && !objects.has(id) && !supervisor.has(id)) journal.forget(id);
    }
  }

  #isOfDeadStore(object: RuntimeObject): boolean {
    const { storeId } = object;
    return (
      storeId !== null && storeId !== this.#deps.store.storeId && storeId.startsWith(embeddedStorePrefix)
    );
  }

  #storeIsTrusted(): boolean {
    const health = this.#deps.store.health();
    return health.healthy && this.#deps.clock.monotonicMs() - health.sinceMs >= storeHealthyMs;
  }

  #takeFromBudget(objectCount: number): boolean {
    const nowMs = this.#deps.clock.monotonicMs();
    this.#spent = this.#spent.filter((spentMs) => nowMs - spentMs < 60_000);
    if (this.#spent.length >= Math.max(5, Math.floor(objectCount / 10))) return false;
    this.#spent.push(nowMs);
    return true;
  }
}

function isEnding(state: SandboxState): boolean {
  return state === 'stopping' || isEnded(state);
}

interface FoundObject {
  readonly object: RuntimeObject;
  readonly runtime: SandboxRuntime;
}

export interface ReconcilerDeps {
  readonly store: PoolStore;
  readonly journal: BindJournal;
  readonly registrar: Registrar;
  readonly pools: NodePools;
  readonly supervisor: SandboxSupervisor;
  readonly clock: Clock;
  readonly observer: NodeObserver;
  readonly log: Log;
}

/** Longer than any step between making an object and seeing its record. */
const orphanAgeMs = 15_000;
/** Longer than a pass takes from its answer to its comparison. */
const leaseSlackMs = 1_000;
/** Two node timeouts. */
const storeHealthyMs = 10_000;
