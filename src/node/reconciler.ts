import type { Clock } from '../domain/clock.ts';
import { isWarmpoolError } from '../domain/errors.ts';
import type { RuntimeName } from '../domain/pool-spec.ts';
import type { SandboxRecord } from '../domain/sandbox.ts';
import type { Log } from '../observability/log.ts';
import type { RuntimeObject, SandboxRuntime } from '../runtime/sandbox-runtime.ts';
import { embeddedStorePrefix, type PoolStore } from '../store/pool-store.ts';
import type { NodePools } from './node-pools.ts';
import type { NodeObserver } from './observer.ts';
import type { SandboxSupervisor } from './sandbox-supervisor.ts';

/**
 * Makes the store's records of this node and the objects on it agree, every 5 s and at start. Level-triggered: it
 * looks at what is, not at what happened, so whatever was lost in between (an event, an answer, a process) is repaired
 * by the next pass. A pass in which the store or a runtime does not answer ends there and kills nothing; one sandbox
 * that cannot be settled (its record is damaged, its object will not go) is left as it is and keeps no other waiting.
 *
 * An object without a record is destroyed only on evidence (D13): it is older than `orphanAgeMs`, the store has been
 * healthy and the same run for `storeHealthyMs`, and the budget of this minute is not spent. The one exception needs no
 * patience: an object whose record lived in another process's embedded store, which died with that process.
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

  constructor(deps: ReconcilerDeps, options: { nodeId: string }) {
    this.#deps = deps;
    this.#nodeId = options.nodeId;
  }

  async pass(): Promise<void> {
    const { store, supervisor } = this.#deps;
    // Objects first: one that appears after this look cannot be mistaken for an orphan.
    const found = await this.#listObjects();
    const records = await store.inventory(this.#nodeId);
    const objects = new Map(found.map((each) => [each.object.sandboxId, each]));
    const unclaimedBoots = new Set<string>();
    const stuck = new Set<string>();
    for (const record of records) {
      if (record.state === 'starting' && !supervisor.has(record.id)) unclaimedBoots.add(record.id);
      await this.#settle(record.id, stuck, () => this.#settleRecord(record, objects.get(record.id)));
    }
    this.#unclaimedBoots = unclaimedBoots;

    const recorded = new Set(records.map((record) => record.id));
    this.#paidFor = new Set([...this.#paidFor].filter((id) => objects.has(id)));
    for (const { object, runtime } of found) {
      const { sandboxId } = object;
      if (recorded.has(sandboxId) || supervisor.has(sandboxId)) continue;
      await this.#settle(sandboxId, stuck, () => this.#settleOrphan(object, runtime, found.length));
    }
    this.#stuck = stuck;
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

  async #settleRecord(record: SandboxRecord, found: FoundObject | undefined): Promise<void> {
    const { supervisor } = this.#deps;
    switch (record.state) {
      case 'stopping':
      case 'stopped':
      case 'failed':
        await supervisor.remove(record.id);
        return;
      case 'starting':
        if (supervisor.has(record.id)) return;
        if (record.claim && !found) {
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

  async #lose(record: SandboxRecord, reason: 'boot_failed' | 'object_lost', failure: string): Promise<void> {
    const fence = { id: record.id, nodeId: this.#nodeId, incarnation: record.incarnation };
    const answer = await this.#deps.store.reportFailed(fence, reason, failure);
    if (answer.kind === 'refused') return;
    this.#deps.observer.sandboxEnded(reason);
    await this.#deps.supervisor.remove(record.id);
  }

  async #settleOrphan(object: RuntimeObject, runtime: SandboxRuntime, objectCount: number): Promise<void> {
    const { store, log, observer } = this.#deps;
    if (!this.#isOfDeadStore(object)) {
      if (object.ageMs < orphanAgeMs || !this.#storeIsTrusted()) return;
      // The inventory leaves damaged records out; the record itself has the last word, and a damaged one throws.
      if (await store.get(object.sandboxId, null)) return;
      if (!this.#paidFor.has(object.sandboxId) && !this.#takeFromBudget(objectCount)) {
        log.error(
          { node: this.#nodeId, sandbox: object.sandboxId },
          'more objects without a record than the budget allows to destroy in a minute: is this the right store?',
        );
        return;
      }
      this.#paidFor.add(object.sandboxId);
    }
    log.warn({ sandbox: object.sandboxId, runtime: runtime.name }, 'destroying an object that has no record');
    await runtime.destroy(object.sandboxId);
    observer.orphanDestroyed(runtime.name);
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

interface FoundObject {
  readonly object: RuntimeObject;
  readonly runtime: SandboxRuntime;
}

export interface ReconcilerDeps {
  readonly store: PoolStore;
  readonly pools: NodePools;
  readonly supervisor: SandboxSupervisor;
  readonly clock: Clock;
  readonly observer: NodeObserver;
  readonly log: Log;
}

/** Longer than any step between making an object and seeing its record. */
const orphanAgeMs = 15_000;
/** Two node timeouts. */
const storeHealthyMs = 10_000;
