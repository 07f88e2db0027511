import assert from 'node:assert/strict';
import type { Clock } from '../../src/domain/clock.ts';
import { newClaimId, newSandboxId, shardOfPool } from '../../src/domain/ids.ts';
import type { PoolSize, PoolSpec } from '../../src/domain/pool-spec.ts';
import type { SandboxRecord } from '../../src/domain/sandbox.ts';
import { specVersionOf } from '../../src/domain/spec-version.ts';
import { Fleet } from '../../src/node/fleet.ts';
import { type ReplenishedSandbox, Replenisher } from '../../src/node/replenisher.ts';
import type { BootOutcome } from '../../src/node/sandbox-supervisor.ts';
import type { PoolSnapshot, PoolStore } from '../../src/store/pool-store.ts';
import { TransitionFeed } from '../../src/store/transition-feed.ts';
import { FakeRuntime } from './fake-runtime.ts';
import { SilentLog } from './silent-log.ts';

/**
 * A pool that is kept filled by the real replenishers of some nodes over a real store, with the boots made up: each takes as
 * long as asked, then reports itself. Works on any clock, and so in virtual time.
 */
export class ReplenishedFleet implements AsyncDisposable {
  readonly nodes: readonly FleetNode[];
  readonly #store: PoolStore;
  readonly #spec: PoolSpec;
  readonly #specVersion: string;
  readonly #feed: TransitionFeed;

  static async start(options: FleetOptions): Promise<ReplenishedFleet> {
    const { store, spec } = options;
    const specVersion = specVersionOf(spec.template);
    await store.declarePool({ name: spec.name, specVersion, size: spec.size });
    const fleet = new ReplenishedFleet(options, specVersion);
    fleet.#feed.start();
    for (const node of fleet.nodes) await node.heartbeat();
    for (const node of fleet.nodes) await node.start();
    return fleet;
  }

  private constructor(options: FleetOptions, specVersion: string) {
    const { store, spec, clock } = options;
    this.#store = store;
    this.#spec = spec;
    this.#specVersion = specVersion;
    this.#feed = new TransitionFeed({ store, clock, log: new SilentLog() });
    const capacities = options.capacities ?? [1_000_000];
    this.nodes = capacities.map(
      (capacity, at) => new FleetNode({ ...options, specVersion }, `node-${at}`, capacity),
    );
    this.#feed.listen({
      heard: (event) => {
        if (event.to === 'running' || event.to === 'stopping' || event.to === 'failed') this.#wake();
        if (event.to !== 'starting' || event.tenant === null) return;
        for (const node of this.nodes) if (node.nodeId === event.nodeId) node.assigned(event.id);
      },
      missed: () => this.#wake(),
    });
  }

  /** Claims one; on a miss takes a boot, if asked to. Whatever was got is over at once. Answers what a client would see. */
  async claim(onMiss: 'cold' | 'fail' = 'fail'): Promise<'hit' | 'miss'> {
    const { name, lease } = this.#spec;
    const cold = { id: newSandboxId(shardOfPool(name)), nodeId: 'node-0', bootTimeoutMs: 600_000 };
    const answer = await this.#store.claim({
      pool: name,
      tenant: 'alice',
      requestId: newClaimId(),
      bodyHash: '',
      claimId: newClaimId(),
      leaseTtlMs: lease.ttlMs,
      maxLifetimeMs: lease.maxLifetimeMs,
      onExpiry: lease.onExpiry,
      customisation: { env: {}, metadata: {} },
      warm: true,
      cold: onMiss === 'cold' ? cold : null,
    });
    if (answer.kind !== 'claimed') return 'miss';
    await this.end(answer.record);
    return 'hit';
  }

  async end({ id, nodeId, incarnation }: SandboxRecord): Promise<void> {
    await this.#store.beginStop({ id, tenant: null }, 'deleted');
    await this.#store.finishStop({ id, nodeId, incarnation });
    for (const node of this.nodes) node.forget(id);
  }

  async pool(): Promise<PoolSnapshot> {
    const snapshot = await this.#store.readPool(this.#spec.name);
    assert.ok(snapshot);
    return snapshot;
  }

  resize(size: Partial<PoolSize>): Promise<PoolSnapshot> {
    const declared = { ...this.#spec.size, ...size };
    return this.#store.declarePool({
      name: this.#spec.name,
      specVersion: this.#specVersion,
      size: declared,
    });
  }

  /** Settles when the pool looks as asked; looks at every event, and every 100 ms. */
  async until(clock: Clock, isAsAsked: (pool: PoolSnapshot) => boolean): Promise<PoolSnapshot> {
    for (;;) {
      const pool = await this.pool();
      if (isAsAsked(pool)) return pool;
      await new Promise<void>((resolve) => void clock.after(100, resolve));
    }
  }

  #wake(): void {
    for (const node of this.nodes) node.wake();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const node of this.nodes) await node[Symbol.asyncDispose]();
    await this.#feed[Symbol.asyncDispose]();
  }
}

export interface FleetOptions {
  readonly clock: Clock;
  readonly store: PoolStore;
  readonly spec: PoolSpec;
  /** One node each; by default one that has room for everything. */
  readonly capacities?: readonly number[];
  /** How long a boot takes; negative: it fails after as long. */
  readonly bootMs: () => number;
  /** What the replenishers see of the store, where that is not the store itself. */
  readonly viewOf?: (store: PoolStore) => PoolStore;
}

/** A node of nothing but its replenisher: the supervisor's part, with boots that are timers. */
class FleetNode {
  readonly nodeId: string;
  booted = 0;
  readonly #options: FleetOptions;
  readonly #store: PoolStore;
  readonly #capacity: number;
  readonly #fleet: Fleet;
  readonly #replenisher: Replenisher;
  readonly #sandboxes = new Map<string, ReplenishedSandbox>();
  #cancelHeartbeat: () => void = () => {};
  #stopped = false;

  constructor(options: FleetOptions & { readonly specVersion: string }, nodeId: string, capacity: number) {
    const { clock, spec, specVersion } = options;
    this.nodeId = nodeId;
    this.#options = options;
    this.#store = options.store;
    this.#capacity = capacity;
    const view = options.viewOf?.(options.store) ?? options.store;
    this.#fleet = new Fleet({ store: view, clock }, { nodeId });
    const pool = { spec, specVersion, runtime: new FakeRuntime() };
    const sandboxes = this.#sandboxes;
    const supervisor = {
      boot: (record: SandboxRecord) => this.#boot(record),
      entries: () => [...sandboxes.values()],
      noteClaimed: (id: string) => this.forget(id),
      remove: (id: string) => this.#remove(id),
      get size() {
        return sandboxes.size;
      },
    };
    this.#replenisher = new Replenisher(
      {
        store: view,
        pools: { get: () => pool },
        supervisor,
        fleet: this.#fleet,
        clock,
        log: new SilentLog(),
      },
      { pool: spec.name, nodeId, capacity },
    );
  }

  get size(): number {
    return this.#sandboxes.size;
  }

  get note(): string {
    return this.#replenisher.note;
  }

  async start(): Promise<void> {
    await this.#fleet.look();
    this.#beat();
    this.#replenisher.start();
  }

  async heartbeat(): Promise<void> {
    await this.#store.heartbeat({
      nodeId: this.nodeId,
      runtimes: ['docker'],
      pools: [this.#options.spec.name],
      draining: false,
      obeys: null,
      sandboxes: this.size,
      capacity: this.#capacity,
    });
  }

  wake(): void {
    this.#replenisher.wake();
  }

  /** A claim has taken one of its boots over, or has reserved one here. */
  assigned(id: string): void {
    this.#replenisher.takenOver(id);
    if (!this.#sandboxes.has(id))
      void this.#store.get(id, null).then((record) => record && this.#boot(record));
  }

  forget(id: string): void {
    this.#sandboxes.delete(id);
  }

  async #boot(record: SandboxRecord): Promise<BootOutcome> {
    const { clock, bootMs } = this.#options;
    this.booted += 1;
    const entry: ReplenishedSandbox = {
      id: record.id,
      pool: record.pool,
      specVersion: record.specVersion,
      unclaimedIncarnation: record.incarnation,
      phase: 'booting',
      upSinceMs: 0,
    };
    this.#sandboxes.set(record.id, entry);
    const takesMs = bootMs();
    await new Promise<void>((resolve) => void clock.after(Math.abs(takesMs), resolve));
    const now = await this.#store.get(record.id, null);
    if (!now) return { kind: 'overtaken' };
    const fence = { id: record.id, nodeId: this.nodeId, incarnation: now.incarnation };
    if (takesMs < 0) {
      await this.#store.reportFailed(fence, 'boot_failed', 'it was made to fail');
      await this.#remove(record.id);
      return { kind: 'failed' };
    }
    const answer = await this.#store.reportReady(fence);
    if (answer.kind === 'refused') return { kind: 'overtaken' };
    this.#sandboxes.set(record.id, { ...entry, phase: 'up', upSinceMs: clock.monotonicMs() });
    // What a claim has waited for is over at once, as what a claim finds ready.
    if (answer.record.claim) {
      await this.#store.beginStop({ id: record.id, tenant: null }, 'deleted');
      await this.#remove(record.id);
    }
    return { kind: 'up', record: answer.record };
  }

  async #remove(id: string): Promise<void> {
    this.forget(id);
    const record = await this.#store.get(id, null);
    if (record) await this.#store.finishStop({ id, nodeId: this.nodeId, incarnation: record.incarnation });
  }

  #beat(): void {
    this.#cancelHeartbeat = this.#options.clock.after(1_000, () => {
      const look = async () => {
        await this.heartbeat();
        await this.#fleet.look();
      };
      void look().then(() => !this.#stopped && this.#beat());
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    this.#cancelHeartbeat();
    await this.#replenisher[Symbol.asyncDispose]();
  }
}
