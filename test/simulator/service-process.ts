import { appendFileSync } from 'node:fs';
import { Allocator } from '../../src/allocator/allocator.ts';
import type { AllocatorObserver } from '../../src/allocator/observer.ts';
import { Placement } from '../../src/allocator/placement.ts';
import { Reaper, type ReaperDeps } from '../../src/allocator/reaper.ts';
import type { PoolCatalog } from '../../src/domain/pool-catalog.ts';
import { BindJournal } from '../../src/node/bind-journal.ts';
import { Node } from '../../src/node/node.ts';
import { NodePools } from '../../src/node/node-pools.ts';
import type { NodeObserver } from '../../src/node/observer.ts';
import type { Log } from '../../src/observability/log.ts';
import type { PoolStore } from '../../src/store/pool-store.ts';
import { TransitionFeed } from '../../src/store/transition-feed.ts';
import { Actor } from './actor.ts';
import type { Checker } from './checker.ts';
import type { Host } from './host.ts';
import type { StoreServer } from './store-server.ts';
import { type Network, StoreWire } from './store-wire.ts';
import type { World } from './world.ts';

/**
 * One `warmpool serve`, wired as the service wires itself, that can be killed and started again: an allocator with its
 * reaper, and the node of a host where it has one. What survives a life of it are the journal and what its host keeps.
 */
export class ServiceProcess {
  readonly name: string;
  readonly host: Host | null;
  readonly #deps: ServiceDeps;
  readonly #wallSkewMs: number;
  #life: ServiceLife | null = null;

  constructor(deps: ServiceDeps, options: { readonly name: string; readonly host: Host | null }) {
    this.#deps = deps;
    this.name = options.name;
    this.host = options.host;
    this.#wallSkewMs = deps.world.chance.between(-300_000, 300_000);
  }

  /** null: it does not run. */
  get life(): ServiceLife | null {
    return this.#life;
  }

  start(): void {
    if (this.#life) return;
    const { world } = this.#deps;
    world.trace.line(this.name, 'starts');
    if (this.host) this.#deps.checker.nodeStarts(this.host.name);
    const actor = new Actor(world, this.name, this.#wallSkewMs);
    this.#life = startLife(this.#deps, this, actor);
  }

  /** As `kill -9`: it may have been writing its journal. */
  crash(): void {
    const life = this.#life;
    if (!life) return;
    const { world, checker, journalPathOf } = this.#deps;
    world.trace.line(this.name, 'crashes');
    this.#life = null;
    life.actor.die();
    void life.journal?.[Symbol.asyncDispose]();
    if (!this.host) return;
    if (world.chance.is(0.3)) appendFileSync(journalPathOf(this.name), '211 0123456789abcdef {"v":1,"bi');
    this.host.nodeDied();
    checker.nodeWasAway(this.host.name);
  }

  /** As SIGTERM: drains, then ends. */
  async stop(): Promise<void> {
    const life = this.#life;
    if (!life) return;
    const { world, checker } = this.#deps;
    world.trace.line(this.name, 'is told to stop');
    if (this.host && !this.host.survivesNode) checker.nodeStops(this.host.name);
    await life.stop();
    if (this.#life === life) this.crash();
  }

  stall(): void {
    this.#deps.world.trace.line(this.name, 'stalls');
    if (this.host) this.#deps.checker.nodeWasAway(this.host.name);
    this.#life?.actor.stall();
  }

  goOn(): void {
    if (!this.#life?.actor.isStalled) return;
    this.#deps.world.trace.line(this.name, 'goes on');
    if (this.host) this.#deps.checker.nodeWasAway(this.host.name);
    this.#life.actor.goOn();
  }
}

/** What runs between a start and the next end. */
export interface ServiceLife {
  readonly actor: Actor;
  readonly allocator: Allocator;
  readonly node: Node | null;
  readonly journal: BindJournal | null;
  stop(): Promise<void>;
}

export interface ServiceDeps {
  readonly world: World;
  readonly server: StoreServer;
  readonly checker: Checker;
  readonly network: Network;
  readonly catalog: PoolCatalog;
  readonly journalPathOf: (name: string) => string;
  /** Guards taken out on this side of the wire. */
  readonly mutatedStore: (store: PoolStore) => PoolStore;
  readonly mutatedJournal: (journal: BindJournal) => BindJournal;
}

function startLife(deps: ServiceDeps, { name, host }: ServiceProcess, actor: Actor): ServiceLife {
  const { world, server, checker, network, catalog } = deps;
  const { clock } = actor;
  const log = traceLog(world, name);
  const observer = observing(checker);
  const wire = new StoreWire({ world, server, actor, observer: checker, network });
  const store = deps.mutatedStore(wire.port());
  const feed = new TransitionFeed({ store, clock, log });
  const placement = new Placement({ store, clock, log });
  let node: Node | null = null;
  let journal: BindJournal | null = null;
  if (host) {
    journal = deps.mutatedJournal(BindJournal.open({ clock, observer, log }, deps.journalPathOf(name)));
    const runtime = host.port(actor);
    const pools = new NodePools(catalog, new Map(catalog.all().map(({ spec }) => [spec.name, runtime])));
    const { openGuest } = host;
    node = new Node(
      { store, journal, pools, feed, openGuest, clock, observer, log },
      { nodeId: host.name, capacity: nodeCapacity },
    );
  }
  const onEnding = (record: Parameters<Node['remove']>[0]) => void node?.remove(record);
  const reaper = new Reaper({ store, clock, observer, log, onEnding });
  const allocator = new Allocator({
    ...{ store, catalog, feed, placement, clock, observer },
    startCold: (record) => node?.startCold(record) ?? null,
    remove: (record) => node?.remove(record) ?? null,
    guestOf: (record) => node?.guest(record) ?? null,
    vouch: async (sandboxId, tenant) => (await node?.vouch(sandboxId, tenant)) ?? false,
    describePool: (pool) => node?.describePool(pool) ?? { runtime: '', note: '' },
    poolChanged: () => node?.syncPools(),
  });
  const started = async () => {
    for (const { spec, specVersion } of catalog.all()) {
      const declaration = { name: spec.name, specVersion, size: spec.size };
      // A process whose store does not answer at its start is started again by whoever watches over it.
      while (!(await store.declarePool(declaration).catch(() => null)))
        await new Promise<void>((resolve) => clock.after(1_000, resolve));
    }
    feed.start();
    await node?.start();
    await placement.start();
    reaper.start();
  };
  void started();
  return {
    ...{ actor, allocator, node, journal },
    async stop() {
      await reaper[Symbol.asyncDispose]();
      await placement[Symbol.asyncDispose]();
      await node?.[Symbol.asyncDispose]();
      await feed[Symbol.asyncDispose]();
    },
  };
}

function traceLog(world: World, name: string): Log {
  const say = (fields: object, message: string) => {
    const { sandbox = '', err = null } = fields as { sandbox?: string; err?: unknown };
    const error = err instanceof Error ? `: ${err.message}` : '';
    world.trace.line(name, `${message}${sandbox && ` (${sandbox})`}${error}`);
  };
  return { debug: () => {}, info: () => {}, warn: say, error: say };
}

type Observer = NodeObserver & AllocatorObserver & ReaperDeps['observer'];

/** Counts conflicts; whatever else the product tells its metrics is not looked at. */
function observing(checker: Checker): Observer {
  const conflict = () => {
    checker.counted.conflicts += 1;
  };
  const ignore = () => {};
  return new Proxy({} as Observer, {
    get: (_, name) => (name === 'claimConflict' ? conflict : ignore),
  });
}

/** More than the pools may have: what stops a refill is the store. */
const nodeCapacity = 64;
