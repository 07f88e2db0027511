import type { Clock } from '../domain/clock.ts';
import { WarmpoolError } from '../domain/errors.ts';
import type { EndReason, SandboxRecord, SandboxState } from '../domain/sandbox.ts';
import { isEnded } from '../domain/transitions.ts';
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
import { hostCapacity } from './host-capacity.ts';
import type { NodePools } from './node-pools.ts';
import type { NodeObserver } from './observer.ts';
import { Reconciler } from './reconciler.ts';
import { Registrar } from './registrar.ts';
import { Replenishers } from './replenishers.ts';
import { SandboxSupervisor, type SupervisedSandbox } from './sandbox-supervisor.ts';
import { ServiceOrder } from './service-order.ts';
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
  readonly #replenishers: Replenishers;
  readonly #service: ServiceOrder;
  readonly #timers = new Set<() => void>();
  /** Sandboxes whose end waits for this node's own timer. */
  readonly #held = new Set<string>();
  #stopListening: () => void = () => {};
  #addresses: NodeAddresses = {};
  #left: Promise<void> | null = null;
  #asking: Promise<void> | null = null;
  #closed = false;
  #reconciling: Promise<void> = Promise.resolve();

  constructor(deps: NodeDeps, options: NodeOptions) {
    this.#deps = deps;
    this.id = options.nodeId;
    this.#capacity = options.capacity ?? hostCapacity();
    this.#fleet = new Fleet(deps, options);
    const gate = new StartGate({ foregroundMax, refillMax: options.refillMax ?? refillMax });
    this.#supervisor = new SandboxSupervisor({ ...deps, gate }, options);
    this.#registrar = new Registrar(deps, options);
    const parts = { supervisor: this.#supervisor, registrar: this.#registrar };
    this.#reconciler = new Reconciler({ ...deps, ...parts }, options);
    this.#replenishers = new Replenishers(
      { ...deps, supervisor: this.#supervisor, fleet: this.#fleet },
      { nodeId: this.id, capacity: this.#capacity },
    );
    this.#service = new ServiceOrder(
      {
        ...deps,
        supervisor: this.#supervisor,
        replenishers: this.#replenishers,
        retire: (entry) => this.#retire(entry, 'node_drained'),
        remove: (record) => this.remove(record),
      },
      options,
    );
  }

  /** Cleans up after an earlier run of this node, then begins to fill the pools. `addresses` is what it tells of itself. */
  async start(addresses: NodeAddresses = {}): Promise<void> {
    this.#addresses = addresses;
    this.#stopListening = this.#deps.feed.listen({
      heard: (event) => this.#onEvent(event),
      missed: () => this.#replenishers.wakeAll(),
    });
    await this.#heartbeat();
    await this.#reconcile();
    this.syncPools();
    this.#every(heartbeatIntervalMs, () => this.#heartbeat());
    this.#every(reconcileIntervalMs, () => this.#reconcile());
  }

  /** After the catalogue was replaced: replenishers for new pools, none for removed ones, all look again. */
  syncPools(): void {
    if (!this.#service.inService) return;
    void this.#replenishers.keep(this.#deps.pools.names()).then(async (stopped) => {
      if (stopped) await this.#reconcile();
    });
  }

  /** Boots a cold start reserved for this node; null when it is not this node's. */
  startCold(record: SandboxRecord): Promise<SandboxRecord | null> | null {
    if (record.nodeId !== this.id || this.#service.leaving) return null;
    this.#replenishers.of(record.pool)?.takenOver(record.id);
    return this.#supervisor
      .boot(record, 'foreground')
      .then((outcome) => (outcome.kind === 'up' ? outcome.record : null));
  }

  /** Removes a sandbox of this node that is on its way out; null when it is not this node's. */
  remove(record: SandboxRecord): Promise<void> | null {
    if (record.nodeId !== this.id) return null;
    // Another claim that the store gave it to has ended: nothing of that is here.
    if (!this.#deps.journal.agrees(record)) return this.#registrar.tryRegisterBound(record.id);
    const timerLeftMs = this.#deps.journal.timerLeftMs(record);
    if (timerLeftMs > 0) return this.#removeLater(record.id, timerLeftMs);
    return this.#supervisor.remove(record.id);
  }

  /**
   * The guest of a sandbox that is up here, for `record`'s claim to use; null when it is not. The first use of a claim
   * binds the sandbox to it, for good (D7): throws CLAIM_CONFLICT when it is bound to another one, RUNTIME_UNAVAILABLE
   * when that cannot be written down, DRAINING when the node takes no more first uses.
   */
  guest(record: SandboxRecord): Guest | null {
    const guest = record.nodeId === this.id ? this.#supervisor.guest(record.id) : null;
    if (guest === null) return null;
    if (this.#service.leaving && this.#deps.journal.of(record.id) === null) throw this.#service.refusal();
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
      note: this.#replenishers.of(name)?.note ?? this.#service.note,
    };
  }

  /**
   * This process is about to end (D19): says so in its heartbeat, takes no more starts and no first uses, and has nothing
   * ready any more. What is in use goes on.
   */
  leave(): Promise<void> {
    this.#left ??= this.#leave();
    return this.#left;
  }

  /**
   * Empties what cannot or must not outlive this process (D16): ready sandboxes, boots, and everything of a runtime or a
   * store that ends with it. Claimed docker sandboxes stay and are adopted later.
   */
  async drain(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const cancel of this.#timers) cancel();
    this.#stopListening();
    const { store, log } = this.#deps;
    const left = this.leave();
    this.#supervisor.stopBoots(new WarmpoolError('RUNTIME_UNAVAILABLE', 'the node is being shut down'));
    await left;
    await this.#service.settled();
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

  async #leave(): Promise<void> {
    this.#service.leave();
    await this.#heartbeat();
    await this.#service.retireUnclaimed().catch((error: unknown) => {
      this.#deps.log.warn(
        { err: error },
        'what is ready could not be ended yet; the end of the process does it',
      );
    });
  }

  /**
   * What the store still has of this node. Cold starts that an allocator placed here before it heard of the drain:
   * booting them now reports their failure. Sandboxes whose removal failed earlier (the engine was away): once more, but
   * for those that live by this node's own timer, which the next start decides about.
   */
  async #settleRest(): Promise<void> {
    for (const record of await this.#deps.store.inventory(this.id)) {
      if (record.state === 'starting' && record.claim) await this.#supervisor.boot(record, 'foreground');
      else if (isOver(record.state) && this.#deps.journal.timerLeftMs(record) === 0)
        await this.#supervisor.remove(record.id);
    }
  }

  /** The unclaimed sandboxes of pools that are no longer served; claimed ones live on until their lease ends. */
  async #emptyUnserved(): Promise<void> {
    const served = new Set(this.#deps.pools.names());
    for (const entry of this.#supervisor.entries()) {
      if (served.has(entry.pool) || entry.phase === 'stopping') continue;
      await this.#retire(entry, 'scaled_down');
    }
  }

  async #retire(entry: SupervisedSandbox, reason: EndReason): Promise<void> {
    if (await this.#stopUnclaimed(entry, reason)) await this.#supervisor.remove(entry.id);
  }

  async #stopUnclaimed(entry: SupervisedSandbox, reason: EndReason): Promise<boolean> {
    if (entry.unclaimedIncarnation === null) return false;
    const target = { id: entry.id, tenant: null, incarnation: entry.unclaimedIncarnation };
    const answer = await this.#deps.store.beginStop(target, reason);
    if (answer.kind === 'refused' && answer.why === 'stale_incarnation')
      this.#supervisor.noteClaimed(entry.id);
    return answer.kind === 'done';
  }

  #onEvent(event: StoreEvent): void {
    if (event.to === 'running' || event.to === 'stopping' || event.to === 'failed') {
      this.#replenishers.of(event.pool)?.wake();
    }
    if (event.nodeId !== this.id) return;
    if (event.reason === 'node_drained' && this.#service.inService) this.#askForOrder();
    const isEnding = event.to === 'stopping' || event.to === 'failed';
    if (isEnding && this.#supervisor.has(event.id)) void this.#endAsTold(event.id);
    else if (event.to === 'starting' && event.tenant !== null) {
      this.#replenishers.of(event.pool)?.takenOver(event.id);
      void this.#bootAssigned(event.id);
    }
  }

  /** Somebody takes what is ready here out of its pool: there must be an order. */
  #askForOrder(): void {
    this.#asking ??= this.#heartbeat().finally(() => {
      this.#asking = null;
    });
  }

  /** The store calls a lease expired that goes on by this node's own timer: both must say so (D12). */
  async #removeLater(sandboxId: string, timerLeftMs: number): Promise<void> {
    if (this.#held.has(sandboxId)) return;
    this.#deps.log.warn(
      { sandbox: sandboxId, leftMs: Math.round(timerLeftMs) },
      'a lease has expired before its time; did the clock of the store jump? The sandbox is kept until then',
    );
    const cancel = this.#deps.clock.after(timerLeftMs, () => {
      this.#timers.delete(cancel);
      this.#held.delete(sandboxId);
      void this.#endAsTold(sandboxId);
    });
    this.#held.add(sandboxId);
    this.#timers.add(cancel);
  }

  /** An event does not say which claim has ended: one that is bound here is looked up first. */
  async #endAsTold(sandboxId: string): Promise<void> {
    const isBound = this.#deps.journal.of(sandboxId) !== null;
    const record = isBound ? await this.#deps.store.get(sandboxId, null).catch(() => null) : null;
    if (!isBound) await this.#supervisor.remove(sandboxId);
    // Where the store has no answer now, the reconciler comes back to it. An event may be late: it was told otherwise since.
    else if (record !== null && (isOver(record.state) || !this.#deps.journal.agrees(record)))
      await this.remove(record);
  }

  async #bootAssigned(sandboxId: string): Promise<void> {
    const record = await this.#deps.store.get(sandboxId, null).catch(() => null);
    if (record?.state !== 'starting') return;
    if (!this.#service.leaving) void this.#supervisor.boot(record, 'foreground');
    else if (!this.#supervisor.has(sandboxId)) await this.#service.refuseStart(record);
  }

  async #heartbeat(): Promise<void> {
    const { store, pools, log } = this.#deps;
    try {
      const order = await store.heartbeat({
        nodeId: this.id,
        runtimes: pools.runtimes().map((runtime) => runtime.name),
        pools: pools.carried(),
        draining: this.#service.leaving,
        obeys: this.#service.obeyed,
        sandboxes: this.#supervisor.size,
        capacity: this.#capacity,
        ...this.#addresses,
      });
      if (this.#service.heard(order)) this.syncPools();
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
        if (!this.#closed) this.#every(intervalMs, run);
      });
    });
    this.#timers.add(cancel);
  }
}

/** Where its data port is: for clients, and for the other processes of the service. */
export type NodeAddresses = Pick<NodeStatus, 'dataUrl' | 'nodeUrl'>;

function isOver(state: SandboxState): boolean {
  return state === 'stopping' || isEnded(state);
}

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
