import { totalmem } from 'node:os';
import type { Clock } from '../domain/clock.ts';
import { WarmpoolError } from '../domain/errors.ts';
import type { EndReason, SandboxRecord } from '../domain/sandbox.ts';
import type { Guest } from '../guest-link/guest.ts';
import type { Log } from '../observability/log.ts';
import {
  embeddedStorePrefix,
  type NodeStatus,
  type PoolStore,
  type StoreEvent,
} from '../store/pool-store.ts';
import type { TransitionFeed } from '../store/transition-feed.ts';
import type { BindJournal } from './bind-journal.ts';
import type { OpenGuest } from './boot.ts';
import { Fleet } from './fleet.ts';
import type { NodePools } from './node-pools.ts';
import type { NodeObserver } from './observer.ts';
import { Reconciler } from './reconciler.ts';
import { Registrar } from './registrar.ts';
import { Replenisher } from './replenisher.ts';
import { SandboxSupervisor, type SupervisedSandbox } from './sandbox-supervisor.ts';
import { StartGate } from './start-gate.ts';

/**
 * One host's role: keeps its pools filled, boots the cold starts assigned to it, removes what the store says must go,
 * and tells the store what it has. The store decides who owns a sandbox, until somebody uses it: from then on the node's
 * journal does (D7), and the store is told when it says something else.
 */
export class Node implements AsyncDisposable {
  readonly id: string;
  readonly #deps: NodeDeps;
  readonly #capacity: number;
  readonly #fleet: Fleet;
  readonly #supervisor: SandboxSupervisor;
  readonly #registrar: Registrar;
  readonly #reconciler: Reconciler;
  readonly #replenishers = new Map<string, Replenisher>();
  readonly #timers = new Set<() => void>();
  #stopListening: () => void = () => {};
  #addresses: NodeAddresses = {};
  #draining = false;
  #reconciling: Promise<void> = Promise.resolve();

  constructor(deps: NodeDeps, options: NodeOptions) {
    this.#deps = deps;
    this.id = options.nodeId;
    this.#capacity = options.capacity ?? sandboxCapacity;
    this.#fleet = new Fleet(deps, options);
    const gate = new StartGate({ foregroundMax, refillMax: options.refillMax ?? refillMax });
    this.#supervisor = new SandboxSupervisor({ ...deps, gate }, options);
    this.#registrar = new Registrar(deps, options);
    const parts = { supervisor: this.#supervisor, registrar: this.#registrar };
    this.#reconciler = new Reconciler({ ...deps, ...parts }, options);
  }

  /** Cleans up after an earlier run of this node, then begins to fill the pools. `addresses` is what it tells of itself. */
  async start(addresses: NodeAddresses = {}): Promise<void> {
    this.#addresses = addresses;
    this.#stopListening = this.#deps.feed.listen({
      heard: (event) => this.#onEvent(event),
      missed: () => this.#wakeReplenishers(),
    });
    await this.#heartbeat();
    await this.#reconcile();
    this.syncPools();
    this.#every(heartbeatIntervalMs, () => this.#heartbeat());
    this.#every(reconcileIntervalMs, () => this.#reconcile());
  }

  /** After the catalogue was replaced: replenishers for new pools, none for removed ones, all look again. */
  syncPools(): void {
    const names = new Set(this.#deps.pools.names());
    for (const [name, replenisher] of this.#replenishers) {
      if (names.has(name)) continue;
      this.#replenishers.delete(name);
      void replenisher[Symbol.asyncDispose]().then(() => this.#reconcile());
    }
    for (const name of names) {
      const known = this.#replenishers.get(name);
      if (known) known.wake();
      else if (!this.#draining) this.#startReplenisher(name);
    }
  }

  /** Boots a cold start reserved for this node; null when it is not this node's. */
  startCold(record: SandboxRecord): Promise<SandboxRecord | null> | null {
    if (record.nodeId !== this.id || this.#draining) return null;
    this.#replenishers.get(record.pool)?.takenOver(record.id);
    return this.#supervisor
      .boot(record, 'foreground')
      .then((outcome) => (outcome.kind === 'up' ? outcome.record : null));
  }

  /** Removes a sandbox of this node that is on its way out; null when it is not this node's. */
  remove(record: SandboxRecord): Promise<void> | null {
    if (record.nodeId !== this.id) return null;
    // Another claim that the store gave it to has ended: nothing of that is here.
    if (!this.#deps.journal.agrees(record)) return this.#registrar.tryRegisterBound(record.id);
    return this.#supervisor.remove(record.id);
  }

  /**
   * The guest of a sandbox that is up here, for `record`'s claim to use; null when it is not. The first use of a claim
   * binds the sandbox to it, for good (D7): throws CLAIM_CONFLICT when it is bound to another one, RUNTIME_UNAVAILABLE
   * when that cannot be written down.
   */
  guest(record: SandboxRecord): Guest | null {
    const guest = record.nodeId === this.id ? this.#supervisor.guest(record.id) : null;
    if (guest === null) return null;
    try {
      this.#deps.journal.bind(record);
    } catch (error) {
      if (!this.#deps.journal.agrees(record)) void this.#registrar.tryRegisterBound(record.id);
      throw error;
    }
    this.#supervisor.noteClaimed(record.id);
    return guest;
  }

  /**
   * Tells the store that a sandbox is this tenant's, if it is up here and was used by the tenant before. Whether the store
   * says so now. For those who were told that there is none: the store may have lost it.
   */
  async vouch(sandboxId: string, tenant: string): Promise<boolean> {
    if (this.#deps.journal.of(sandboxId)?.claim.tenant !== tenant) return false;
    return this.#supervisor.guest(sandboxId) !== null && this.#registrar.registerBound(sandboxId);
  }

  describePool(name: string): { readonly runtime: string; readonly note: string } {
    return {
      runtime: this.#deps.pools.get(name)?.runtime.name ?? '',
      note: this.#replenishers.get(name)?.note ?? '',
    };
  }

  /**
   * Takes no more starts and empties what cannot or must not outlive this process (D16, D19): ready sandboxes, boots,
   * and everything of a runtime or a store that ends with it. Claimed docker sandboxes stay and are adopted later.
   */
  async drain(): Promise<void> {
    if (this.#draining) return;
    this.#draining = true;
    for (const cancel of this.#timers) cancel();
    this.#stopListening();
    const { store, log } = this.#deps;
    const said = this.#heartbeat();
    const stopped = [...this.#replenishers.values()].map((each) => each[Symbol.asyncDispose]());
    this.#supervisor.stopBoots(new WarmpoolError('RUNTIME_UNAVAILABLE', 'the node is being shut down'));
    await Promise.all([...stopped, said]);
    await this.#reconciling;
    await this.#supervisor.settled();
    const endsWithProcess = store.storeId.startsWith(embeddedStorePrefix);
    await Promise.all(
      this.#supervisor.entries().map(async (entry) => {
        const leaves = endsWithProcess || !entry.runtime?.survivesNode;
        try {
          if (leaves) await store.beginStop({ id: entry.id, tenant: null }, 'node_drained');
          else if (!(await this.#stopUnclaimed(entry, 'node_drained'))) return;
          await this.#supervisor.remove(entry.id);
        } catch (error) {
          log.warn(
            { sandbox: entry.id, err: error },
            'a sandbox could not be drained; the next start cleans up',
          );
          if (leaves) await entry.runtime?.destroy(entry.id).catch(() => {});
        }
      }),
    );
    await this.#settleRest().catch((error: unknown) => {
      log.warn({ err: error }, 'what was left to remove could not be removed; the next start cleans up');
    });
    this.#supervisor.detach();
    await store.removeNode(this.id).catch(() => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.drain();
  }

  /**
   * What the store still has of this node. Cold starts that an allocator placed here before it heard of the drain:
   * booting them now reports their failure. Sandboxes whose removal failed earlier (the engine was away): once more.
   */
  async #settleRest(): Promise<void> {
    for (const record of await this.#deps.store.inventory(this.id)) {
      if (record.state === 'starting' && record.claim) await this.#supervisor.boot(record, 'foreground');
      else if (record.state === 'stopping' || record.state === 'failed')
        await this.#supervisor.remove(record.id);
    }
  }

  /** The unclaimed sandboxes of pools that are no longer served; claimed ones live on until their lease ends. */
  async #emptyUnserved(): Promise<void> {
    const served = new Set(this.#deps.pools.names());
    for (const entry of this.#supervisor.entries()) {
      if (served.has(entry.pool) || entry.phase === 'stopping') continue;
      if (await this.#stopUnclaimed(entry, 'scaled_down')) await this.#supervisor.remove(entry.id);
    }
  }

  async #stopUnclaimed(entry: SupervisedSandbox, reason: EndReason): Promise<boolean> {
    if (entry.unclaimedIncarnation === null) return false;
    const target = { id: entry.id, tenant: null, incarnation: entry.unclaimedIncarnation };
    const answer = await this.#deps.store.beginStop(target, reason);
    if (answer.kind === 'refused' && answer.why === 'stale_incarnation')
      this.#supervisor.noteClaimed(entry.id);
    return answer.kind === 'done';
  }

  #startReplenisher(name: string): void {
    const replenisher = new Replenisher(
      { ...this.#deps, supervisor: this.#supervisor, fleet: this.#fleet },
      { pool: name, nodeId: this.id, capacity: this.#capacity },
    );
    this.#replenishers.set(name, replenisher);
    replenisher.start();
  }

  #wakeReplenishers(): void {
    for (const replenisher of this.#replenishers.values()) replenisher.wake();
  }

  #onEvent(event: StoreEvent): void {
    if (event.to === 'running' || event.to === 'stopping' || event.to === 'failed') {
      this.#replenishers.get(event.pool)?.wake();
    }
    if (event.nodeId !== this.id) return;
    const isEnding = event.to === 'stopping' || event.to === 'failed';
    if (isEnding && this.#supervisor.has(event.id)) void this.#endAsTold(event.id);
    else if (event.to === 'starting' && event.tenant !== null) {
      this.#replenishers.get(event.pool)?.takenOver(event.id);
      void this.#bootAssigned(event.id);
    }
  }

  /** An event does not say which claim has ended: one that is bound here is looked up first. */
  async #endAsTold(sandboxId: string): Promise<void> {
    const isBound = this.#deps.journal.of(sandboxId) !== null;
    const record = isBound ? await this.#deps.store.get(sandboxId, null).catch(() => null) : null;
    if (!isBound) await this.#supervisor.remove(sandboxId);
    // Where the store has no answer now, the reconciler comes back to it.
    else if (record !== null) await this.remove(record);
  }

  async #bootAssigned(sandboxId: string): Promise<void> {
    const record = await this.#deps.store.get(sandboxId, null).catch(() => null);
    if (record?.state === 'starting' && !this.#draining) void this.#supervisor.boot(record, 'foreground');
  }

  async #heartbeat(): Promise<void> {
    const { store, pools, log } = this.#deps;
    try {
      await store.heartbeat({
        nodeId: this.id,
        runtimes: pools.runtimes().map((runtime) => runtime.name),
        draining: this.#draining,
        sandboxes: this.#supervisor.size,
        capacity: this.#capacity,
        ...this.#addresses,
      });
      await this.#fleet.look();
    } catch (error) {
      log.warn({ err: error }, 'the heartbeat did not reach the store');
    }
  }

  #reconcile(): Promise<void> {
    this.#reconciling = this.#reconciling
      .then(() => this.#reconciler.pass())
      .then(() => this.#emptyUnserved())
      .catch((error: unknown) => {
        this.#deps.log.warn({ err: error }, 'a reconciling pass was given up; nothing was killed');
      });
    return this.#reconciling;
  }

  /** Repeats after each run's end, so a slow pass is never run twice at once. */
  #every(intervalMs: number, run: () => Promise<void>): void {
    const cancel = this.#deps.clock.after(intervalMs, () => {
      this.#timers.delete(cancel);
      run().finally(() => {
        if (!this.#draining) this.#every(intervalMs, run);
      });
    });
    this.#timers.add(cancel);
  }
}

/** Where its data port is: for clients, and for the other processes of the service. */
export type NodeAddresses = Pick<NodeStatus, 'dataUrl' | 'nodeUrl'>;

export interface NodeOptions {
  readonly nodeId: string;
  /** Sandboxes it may have; by default what the host's memory carries. */
  readonly capacity?: number;
  /** Refills that boot at the same time, over all pools. */
  readonly refillMax?: number;
}

export interface NodeDeps {
  readonly store: PoolStore;
  readonly journal: BindJournal;
  readonly pools: NodePools;
  readonly feed: TransitionFeed;
  readonly openGuest: OpenGuest;
  readonly clock: Clock;
  readonly observer: NodeObserver;
  readonly log: Log;
}

const heartbeatIntervalMs = 1_000;
const reconcileIntervalMs = 5_000;
/** Somebody waits for each of these, but a host that boots more than this at once finishes none of them sooner. */
const foregroundMax = 16;
/** Enough to keep two cores busy with boots that wait for the kernel or the engine half of the time. */
const refillMax = 4;
/** A sandbox with a small workload; the pools' own maxTotal is the limit that operators set. */
const memoryPerSandboxBytes = 16 * 1024 * 1024;
const sandboxCapacity = Math.max(1, Math.floor(totalmem() / memoryPerSandboxBytes));
