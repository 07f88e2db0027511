import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Allocator } from '../../src/allocator/allocator.ts';
import { type Principal, scopes } from '../../src/allocator/api.ts';
import { Placement } from '../../src/allocator/placement.ts';
import { Reaper } from '../../src/allocator/reaper.ts';
import { type Clock, SystemClock } from '../../src/domain/clock.ts';
import { PoolCatalog } from '../../src/domain/pool-catalog.ts';
import type { PoolSpec } from '../../src/domain/pool-spec.ts';
import { specVersionOf } from '../../src/domain/spec-version.ts';
import { BindJournal } from '../../src/node/bind-journal.ts';
import { Node } from '../../src/node/node.ts';
import { NodePools } from '../../src/node/node-pools.ts';
import { Metrics } from '../../src/observability/metrics.ts';
import { MemoryPoolStore } from '../../src/store/memory/memory-pool-store.ts';
import type { PoolSnapshot, PoolStore } from '../../src/store/pool-store.ts';
import { TransitionFeed } from '../../src/store/transition-feed.ts';
import { FakeRuntime } from './fake-runtime.ts';
import { SilentLog } from './silent-log.ts';

/** One process's core (node, allocator, reaper) over a memory store and a fake runtime, wired as main.ts does it. */
export async function startCore(options: CoreOptions = {}) {
  const clock = options.clock ?? new SystemClock();
  const log = new SilentLog();
  const runtime = options.runtime ?? new FakeRuntime();
  const store = options.store ?? new MemoryPoolStore({ clock });
  await store.open();
  const specs = options.pools ?? [poolSpec()];
  const catalog = new PoolCatalog(specs.map((spec) => ({ spec, specVersion: specVersionOf(spec.template) })));
  for (const { spec, specVersion } of catalog.all()) {
    await store.declarePool({ name: spec.name, specVersion, size: spec.size });
  }
  const observer = new Metrics(specs.map((spec) => spec.name));
  const feed = new TransitionFeed({ store, clock, log });
  const pools = new NodePools(catalog, new Map(specs.map((spec) => [spec.name, runtime])));
  const { openGuest } = runtime;
  const nodeId = options.nodeId ?? 'node-a';
  // A core that is killed leaves no folder of its own: whoever kills it has given it one.
  const folder = options.journalPath === undefined ? mkdtempSync(join(tmpdir(), 'wp-core-')) : '';
  const journalPath = options.journalPath ?? join(folder, 'claims.journal');
  const journal = BindJournal.open({ clock, observer, log }, journalPath);
  const node = new Node({ store, journal, pools, feed, openGuest, clock, observer, log }, { nodeId });
  const placement = new Placement({ store, clock, log });
  const reaper = new Reaper({ store, clock, observer, log, onEnding: (record) => void node.remove(record) });
  const allocator = new Allocator({
    store,
    catalog,
    feed,
    placement,
    clock,
    observer,
    ...(options.limitsOf && { limitsOf: options.limitsOf }),
    startCold: (record) => node.startCold(record),
    remove: (record) => node.remove(record),
    guestOf: (record) => node.guest(record),
    vouch: (sandboxId, tenant) => node.vouch(sandboxId, tenant),
    describePool: (name) => node.describePool(name),
    poolChanged: () => node.syncPools(),
  });
  // The core's timers do not keep a process alive; in a service the listening sockets do. Nor has a clock of the test's own
  // any that could.
  const keepsAlive = options.clock === undefined ? setInterval(() => {}, 60_000) : undefined;
  feed.start();
  await node.start();
  await placement.start();
  reaper.start();
  return {
    allocator,
    catalog,
    feed,
    journal,
    log,
    node,
    observer,
    runtime,
    store,
    /** Settles when the pool looks as asked; looks again at every event, and rejects after a minute. */
    async until(pool: string, isAsAsked: (snapshot: PoolSnapshot) => boolean): Promise<PoolSnapshot> {
      const endMs = performance.now() + 60_000;
      for (;;) {
        const snapshot = await store.readPool(pool);
        if (snapshot && isAsAsked(snapshot)) return snapshot;
        if (performance.now() > endMs) {
          const lines = log.lines.slice(-5).map((line) => line.message);
          throw new Error(`waited for ${isAsAsked}: ${JSON.stringify(snapshot)} ${lines.join('; ')}`);
        }
        await new Promise<void>((resolve) => {
          const settle = () => {
            stopListening();
            cancel();
            resolve();
          };
          const stopListening = feed.listen({ heard: settle, missed: settle });
          const cancel = clock.after(100, settle);
        });
      }
    },
    async [Symbol.asyncDispose](): Promise<void> {
      clearInterval(keepsAlive);
      await reaper[Symbol.asyncDispose]();
      await placement[Symbol.asyncDispose]();
      await node[Symbol.asyncDispose]();
      await feed[Symbol.asyncDispose]();
      await journal[Symbol.asyncDispose]();
      if (folder !== '') rmSync(folder, { recursive: true, force: true });
      if (!options.store) await store[Symbol.asyncDispose]();
    },
  };
}

export interface CoreOptions {
  readonly runtime?: FakeRuntime;
  readonly store?: PoolStore;
  readonly pools?: readonly PoolSpec[];
  readonly nodeId?: string;
  readonly limitsOf?: NonNullable<ConstructorParameters<typeof Allocator>[0]['limitsOf']>;
  readonly clock?: Clock;
  /** Where an earlier run of the node has kept its journal. */
  readonly journalPath?: string;
}

export function poolSpec(change: PoolChange = {}): PoolSpec {
  return {
    name: change.name ?? 'base',
    template: {
      image: 'warmpool/base',
      rootfs: 'host',
      runtime: 'auto',
      ociRuntime: '',
      user: 'user',
      cwd: '/home/user',
      env: { FROM_TEMPLATE: 'template', SHARED: 'template' },
      warmup: [],
      ready: { exec: ['true'] },
      resources: { cpu: 1, memoryMb: 512, diskMb: 1_024, pids: 256 },
      bootTimeoutMs: 30_000,
      ...change.template,
    },
    size: {
      minReady: 2,
      maxReady: 8,
      maxTotal: 16,
      startsInFlightMax: 4,
      maxIdleAgeMs: 3_600_000,
      onMiss: 'cold',
      targetHitRatio: 0,
      burst: 0,
      scaleToZeroAfterMs: 600_000,
      ...change.size,
    },
    waiting: { max: 256, perTenantMax: 64, ...change.waiting },
    lease: { ttlMs: 300_000, maxLifetimeMs: 86_400_000, onExpiry: 'kill', ...change.lease },
  };
}

interface PoolChange {
  readonly name?: string;
  readonly template?: Partial<PoolSpec['template']>;
  readonly size?: Partial<PoolSpec['size']>;
  readonly waiting?: Partial<PoolSpec['waiting']>;
  readonly lease?: Partial<PoolSpec['lease']>;
}

export const alice: Principal = { tenant: 'alice', scopes: new Set(scopes) };
export const bob: Principal = { tenant: 'bob', scopes: new Set(scopes) };
/** A signal that never aborts. */
export const never: AbortSignal = new AbortController().signal;
/** The least a create needs. */
export const plain = { template: 'base', env: {}, metadata: {} };
