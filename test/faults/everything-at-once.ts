import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { connect } from '../../src/client/grpc-client.ts';
import { SystemClock } from '../../src/domain/clock.ts';
import { isWarmpoolError } from '../../src/domain/errors.ts';
import { RedisPoolStore } from '../../src/store/redis/redis-pool-store.ts';
import { seededRandom } from '../support/random.ts';
import { RedisServer } from '../support/redis-server.ts';
import type { PoolFile } from '../support/service.ts';
import { tracesOf } from '../support/traces.ts';
import { until } from '../support/until.ts';
import { violationsIn } from './checker.ts';
import { ClaimingClient } from './claiming-client.ts';
import { History } from './history.ts';
import { type Role, ServiceFleet } from './service-fleet.ts';

export interface EverythingSize {
  readonly roles: readonly Role[];
  readonly clients: number;
  /** Kills and stalls, of whatever it hits. */
  readonly faults: number;
}

const pool: PoolFile = {
  name: 'base',
  template: { resources: { cpu: 1, memoryMb: 128, diskMb: 64, pids: 64 } },
  size: { minReady: 4, maxReady: 8, maxTotal: 24, targetHitRatio: 0, onMiss: 'cold' },
  lease: { ttl: '10s' },
};

/**
 * T26, R2: clients create, use, renew and end sandboxes while services and Redis are killed and frozen at any moment. In
 * the end every lease has to end by itself, and nothing may be left.
 */
export async function everythingAtOnce(
  context: TestContext,
  seed: number,
  size: EverythingSize,
): Promise<void> {
  const random = seededRandom(seed);
  using history = new History(context, seed);
  await using redis = await RedisServer.start({ aof: true });
  await using store = new RedisPoolStore({ clock: new SystemClock(), warn: () => {} }, { url: redis.url });
  await store.open();
  const env = { WARMPOOL_RUNTIME: 'bubblewrap', REDIS_URL: redis.url };
  await using fleet = await ServiceFleet.start(history, size.roles, { pools: [pool], env });
  const following = new AbortController();
  const followed = follow(store, history, following.signal);

  const left = { faults: size.faults };
  const tallies = { created: 0, used: 0, kept: 0, deleted: 0 };
  const clients = Array.from({ length: size.clients }, (_, index) =>
    beClient({ history, fleet, random, tallies, isOver: () => left.faults === 0 }, index),
  );
  const clientsDone = Promise.all(clients);
  clientsDone.catch(() => {});
  for (; left.faults > 0; left.faults -= 1) {
    await pauseFor(500 + random() * 1_500);
    await oneFault({ redis, fleet, history, random });
  }
  await clientsDone;
  const endedMs = performance.now();
  history.add({ t: 'fault', what: 'the last one is over' });

  await untilLeasesEnd(store, fleet);
  fleet.addJournals();
  using last = connect(fleet.addresses[0] ?? '');
  await last.scalePool('base', { minReady: 0, maxReady: 0 });
  for (const what of await whatIsLeft(store, fleet)) history.add({ t: 'left', what });
  const settledMs = Math.round(performance.now() - endedMs);
  following.abort();
  await followed;
  context.diagnostic(
    `seed ${seed}: ${JSON.stringify(tallies)}, settled ${settledMs} ms after the last fault`,
  );
  assert.ok(tallies.used > 0, 'something was used');
  assert.deepEqual(violationsIn(history.lines()), []);
  history.sound();
}

async function oneFault(world: {
  redis: RedisServer;
  fleet: ServiceFleet;
  history: History;
  random: () => number;
}): Promise<void> {
  const { redis, fleet, history, random } = world;
  const index = Math.floor(random() * fleet.size);
  const kind = random();
  if (kind < 0.5) {
    await fleet.kill(index);
    if (random() < 0.5) await pauseFor(random() * 7_000);
    await fleet.restart(index);
  } else if (kind < 0.75) {
    history.add({ t: 'fault', what: 'kill -9 of Redis' });
    await redis.kill();
    await pauseFor(random() * 2_000);
    await redis.restart();
  } else if (kind < 0.9) {
    await fleet.freeze(index, 1_000 + random() * 7_000);
  } else {
    history.add({ t: 'fault', what: 'SIGSTOP of Redis' });
    redis.pause();
    await pauseFor(random() * 3_000);
    redis.resume();
  }
}

/** Takes one sandbox after the other, and tells the history what it was told. */
async function beClient(
  world: {
    history: History;
    fleet: ServiceFleet;
    random: () => number;
    tallies: { created: number; used: number; kept: number; deleted: number };
    isOver: () => boolean;
  },
  index: number,
): Promise<void> {
  const { history, fleet, random, tallies, isOver } = world;
  using claiming = new ClaimingClient(history, () => fleet.addresses, index);
  for (let round = 0; !isOver(); round += 1) {
    const request = { requestId: `c${index}-${round}`, onMiss: 'ON_MISS_COLD' as const };
    const sandboxId = await claiming.claim(request);
    tallies.created += 1;
    for (let step = Math.floor(random() * 4); step >= 0; step -= 1) {
      const renews = random() < 0.3;
      const call = history.newCall();
      const what = renews ? 'keepalive' : 'exec';
      const address = fleet.addresses[Math.floor(random() * fleet.addresses.length)];
      if (address === undefined) continue;
      const common = { tenant: '', requestId: '', body: '', via: address, deadlineMs: callMs };
      history.add({ t: 'call', call, what, ...common });
      using client = connect(address);
      try {
        if (renews) {
          const sentMs = performance.now();
          await client.keepAlive(sandboxId, undefined, { deadlineMs: callMs });
          history.add({ t: 'kept', sandbox: sandboxId, ttlMs: leaseMs - (performance.now() - sentMs) });
          tallies.kept += 1;
        } else {
          await client.exec({ sandboxId, argv: ['true'] }, { deadlineMs: callMs });
          history.add({ t: 'alive', sandbox: sandboxId });
          tallies.used += 1;
        }
        history.add({ t: 'answer', call, sandbox: sandboxId });
      } catch (error) {
        history.add({ t: 'refusal', call, code: isWarmpoolError(error) ? error.code : 'UNREACHABLE' });
      }
      await pauseFor(random() * 300);
    }
    // The others are left to their lease.
    if (random() < 0.7 && (await tryDelete(fleet, sandboxId))) tallies.deleted += 1;
  }
}

async function tryDelete(fleet: ServiceFleet, sandboxId: string): Promise<boolean> {
  const [address] = fleet.addresses;
  if (address === undefined) return false;
  using client = connect(address);
  try {
    await client.delete(sandboxId, { deadlineMs: callMs });
    return true;
  } catch {
    return false;
  }
}

/** The transitions that the store tells of, through its outages. */
async function follow(store: RedisPoolStore, history: History, signal: AbortSignal): Promise<void> {
  try {
    for await (const events of await store.follow(null, signal)) {
      for (const { id, from, to, reason } of events) {
        history.add({ t: 'event', sandbox: id, from, to });
        if (to === 'stopping' && reason !== null) history.add({ t: 'gone', sandbox: id, why: reason });
      }
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** No client is there any more: what they have left ends by itself. */
async function untilLeasesEnd(store: RedisPoolStore, fleet: ServiceFleet): Promise<void> {
  let claimed: Awaited<ReturnType<typeof recordsOf>> = [];
  await until(
    async () => {
      claimed = (await recordsOf(store, fleet)).filter(({ claim }) => claim !== undefined);
      return claimed.length === 0;
    },
    () => `leases to end: ${claimed.map(({ id, state, lease }) => `${id} ${state} ${lease?.remainingMs}`)}`,
    patienceMs,
  );
}

/** Looks until there is nothing, or says what is still there. */
async function whatIsLeft(store: RedisPoolStore, fleet: ServiceFleet): Promise<readonly string[]> {
  const endMs = performance.now() + patienceMs;
  let found: readonly string[] = [];
  const look = async () => {
    const traces = (await Promise.all(fleet.folders.map((folder) => tracesOf(folder)))).flat();
    const records = (await recordsOf(store, fleet)).map(({ id, state }) => `record ${id} (${state})`);
    const { live = 0 } = (await store.readPool('base')) ?? {};
    const heal = await store.healIndexes();
    const counted =
      live === 0 && heal.dropped + heal.readded === 0 ? [] : [`live ${live}, ${JSON.stringify(heal)}`];
    found = [...traces, ...records, ...counted];
    return found.length === 0 || performance.now() > endMs;
  };
  await until(look, 'a look at what is left', 2 * patienceMs);
  return found;
}

async function recordsOf(store: RedisPoolStore, fleet: ServiceFleet) {
  const inventories = await Promise.all(fleet.folders.map(({ nodeId }) => store.inventory(nodeId)));
  return inventories.flat();
}

/** Paces the faults, and what clients do between them. */
function pauseFor(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

const leaseMs = 10_000;
const callMs = 10_000;
/** The gates say 30 s; the rest is for a machine that is busy. */
const patienceMs = 90_000;
