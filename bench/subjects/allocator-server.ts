import { setTimeout as delay } from 'node:timers/promises';
import { Allocator } from '../../src/allocator/allocator.ts';
import { Placement } from '../../src/allocator/placement.ts';
import { Reaper } from '../../src/allocator/reaper.ts';
import { DataAccess } from '../../src/auth/data-access.ts';
import { newDataKey } from '../../src/auth/data-key.ts';
import { DataTokens } from '../../src/auth/data-token.ts';
import { ClosingStack } from '../../src/closing-stack.ts';
import { SystemClock } from '../../src/domain/clock.ts';
import { PoolCatalog } from '../../src/domain/pool-catalog.ts';
import { specVersionOf } from '../../src/domain/spec-version.ts';
import { startGrpcServer } from '../../src/grpc/grpc-server.ts';
import type { Log } from '../../src/observability/log.ts';
import { Metrics } from '../../src/observability/metrics.ts';
import { MemoryPoolStore } from '../../src/store/memory/memory-pool-store.ts';
import { RedisPoolStore } from '../../src/store/redis/redis-pool-store.ts';
import { TransitionFeed } from '../../src/store/transition-feed.ts';
import { announce, readSetup } from '../server-process.ts';
import { PrefilledPool, prefilledNode, prefilledSpec } from './prefilled-pool.ts';

/**
 * An allocator's process, wired as the service wires it (store, feed, placement, reaper, metrics, gRPC), without a node:
 * the pool is filled with records from outside. Only what no request goes through is left out.
 */
const { redisUrl } = readSetup<{ redisUrl: string | null }>();
const complain = (fields: object, message: string) => console.error('allocator-server:', message, fields);
const quietMs = 50;
const log: Log = { debug() {}, info() {}, warn: complain, error: complain };
const clock = new SystemClock();
const started = new ClosingStack();
const store = started.use(
  redisUrl === null
    ? new MemoryPoolStore({ clock })
    : new RedisPoolStore({ clock, warn: (sentence) => complain({}, sentence) }, { url: redisUrl }),
);
await store.open();
const pool = new PrefilledPool(store);
await pool.declare();

const observer = new Metrics([prefilledSpec.name]);
const catalog = new PoolCatalog([
  { spec: prefilledSpec, specVersion: specVersionOf(prefilledSpec.template) },
]);
const feed = started.use(new TransitionFeed({ store, clock, log }));
const placement = started.use(new Placement({ store, clock, log }));
const reaper = started.use(new Reaper({ store, clock, observer, log, onEnding: () => {} }));
const allocator = new Allocator({
  store,
  catalog,
  feed,
  placement,
  clock,
  observer,
  startCold: () => null,
  remove: () => null,
  guestOf: () => null,
  vouch: async () => false,
  describePool: () => ({ runtime: '', note: '' }),
  poolChanged: () => {},
});

/** As a node's: a create looks for a place for a cold start before it knows that it hits. */
const beat = () =>
  store.heartbeat({
    nodeId: prefilledNode,
    runtimes: ['bubblewrap'],
    pools: catalog.all().map((pool) => pool.spec.name),
    draining: false,
    obeys: null,
    sandboxes: 0,
    capacity: 1_000_000,
  });
await beat();
const beating = setInterval(() => void beat().catch(() => {}), 1_000);
feed.start();
await placement.start();
reaper.start();

// Signing a token is part of every create, as in the service.
const data = new DataAccess(new DataTokens({ clock }, [newDataKey()]), 'ws://127.0.0.1:8081');
const grpc = started.use(
  await startGrpcServer({ allocator, keys: [], log, data }, { listen: { host: '127.0.0.1', port: 0 } }),
);
let lastEventMs = 0;
const noteEvent = () => {
  lastEventMs = performance.now();
};
feed.listen({ heard: noteEvent, missed: noteEvent });
/** Filling makes events, and this process reads them: that must not happen while it is measured. */
async function quiet(): Promise<void> {
  while (performance.now() - lastEventMs < quietMs) await delay(quietMs);
}

// The bench fills the store in Redis itself; one in memory can only be filled from inside.
process.on('message', (message: { readonly fill: number }) => {
  pool
    .fill(message.fill)
    .then(quiet)
    .then(
      () => process.send?.({ filled: true }),
      (error: unknown) => {
        throw error;
      },
    );
});
announce(`${grpc.address.host}:${grpc.address.port}`, async () => {
  clearInterval(beating);
  await started[Symbol.asyncDispose]();
});
