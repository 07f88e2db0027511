import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as elapse } from 'node:timers/promises';
import { SystemClock } from '../../src/domain/clock.ts';
import { isWarmpoolError } from '../../src/domain/errors.ts';
import type { ClaimAnswer, ClaimRequest, PoolStore, StoreEvent } from '../../src/store/pool-store.ts';
import { restMs } from '../../src/store/redis/event-tail.ts';
import { RedisPoolStore } from '../../src/store/redis/redis-pool-store.ts';
import { CuttingProxy } from '../support/cutting-proxy.ts';
import { pickSeed, seededRandom } from '../support/random.ts';
import { RedisServer } from '../support/redis-server.ts';
import { requirement } from '../support/requirements.ts';
import { StoreScenario } from '../support/store-scenario.ts';
import { until } from '../support/until.ts';
import { collectAfter, firstEvents, never } from './contract/events.ts';

const { skip } = await requirement('redis');

async function openStore(url: string): Promise<RedisPoolStore> {
  const store = new RedisPoolStore({ clock: new SystemClock(), warn: () => {} }, { url });
  await store.open();
  return store;
}

/** A clock that lets the tail rest for as long as the test wants. */
class RestHoldingClock extends SystemClock {
  #onRest: ((goOn: () => void) => void) | null = null;

  nextRest(): Promise<() => void> {
    return new Promise((resolve) => {
      this.#onRest = resolve;
    });
  }

  override after(delayMs: number, callback: () => void): () => void {
    const onRest = this.#onRest;
    if (delayMs !== restMs || onRest === null) return super.after(delayMs, callback);
    this.#onRest = null;
    onRest(callback);
    return () => {};
  }
}

const unavailable = (error: unknown) => isWarmpoolError(error) && error.code === 'STORE_UNAVAILABLE';

/** What a caller does whose answer was lost: it asks the same again until it is told. */
async function claimUntilAnswered(store: PoolStore, request: ClaimRequest): Promise<ClaimAnswer> {
  for (;;) {
    try {
      return await store.claim(request);
    } catch (error) {
      if (!unavailable(error)) throw error;
      await elapse(10);
    }
  }
}

/** Claims `count` sandboxes, `atOnce` at a time. */
async function claimMany(
  store: PoolStore,
  scenario: StoreScenario,
  count: number,
  atOnce: number,
  winners = new Map<string, ClaimRequest>(),
): Promise<Map<string, ClaimRequest>> {
  let left = count;
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      while (left > 0) {
        left -= 1;
        const request = scenario.request();
        const answer = await claimUntilAnswered(store, request);
        assert.equal(answer.kind, 'claimed');
        assert.equal(winners.has(answer.record.id), false, 'one sandbox was given to two requests');
        winners.set(answer.record.id, request);
      }
    }),
  );
  return winners;
}

async function makeReady(scenario: StoreScenario, count: number): Promise<void> {
  await scenario.declare({ minReady: count, maxReady: count, maxTotal: 2 * count, startsInFlightMax: count });
  // A command has a second and a half, from when it is given: more at once would wait for each other that long.
  let left = count;
  const make = async () => {
    for (; left > 0; ) {
      left -= 1;
      await scenario.ready();
    }
  };
  await Promise.all(Array.from({ length: 16 }, make));
}

function printSeed(t: TestContext): () => number {
  const seed = pickSeed();
  t.diagnostic(`WARMPOOL_SEED=${seed}`);
  return seededRandom(seed);
}

test('redis: T2 with replies cut off, exactly as many are popped as are answered', { skip }, async (t) => {
  const random = printSeed(t);
  await using server = await RedisServer.start();
  await using proxy = await CuttingProxy.start(server.socketPath);
  await using direct = await openStore(server.url);
  await using store = await openStore(`unix://${proxy.socketPath}`);
  const scenario = new StoreScenario(direct);
  await makeReady(scenario, 400);
  // The first one is always cut: under load answers come in a few large pieces, and chance alone might spare them all.
  proxy.cutWhen(() => proxy.cuts === 0 || random() < 0.05);
  const winners = await claimMany(store, scenario, 300, 4);
  proxy.cutWhen(() => false);
  t.diagnostic(`${proxy.cuts} replies cut`);
  assert.ok(proxy.cuts > 0);
  assert.equal(winners.size, 300);
  assert.equal((await direct.readPool('base'))?.ready, 100);
  assert.equal((await direct.readPool('base'))?.counters.hits, 300);
});

test('redis: T10 a server that is killed and restarted loses and doubles no claim', { skip }, async () => {
  await using server = await RedisServer.start({ aof: true });
  await using store = await openStore(server.url);
  const scenario = new StoreScenario(store);
  await makeReady(scenario, 1_500);
  const runIds = new Set([store.health().runId]);
  const winners = new Map<string, ClaimRequest>();
  for (let crash = 0; crash < 3; crash += 1) {
    // Claims of its own for each crash: how many those of another manage before the store sees the new server is chance.
    const before = winners.size;
    const claiming = claimMany(store, scenario, 400, 8, winners);
    await until(() => winners.size > before + 20, 'claims before the crash');
    const killed = server.kill();
    assert.ok(winners.size < before + 400, 'the crash comes in the middle');
    await killed;
    await server.restart();
    await claiming;
    await until(() => store.health().healthy && !runIds.has(store.health().runId), 'the next server');
    runIds.add(store.health().runId);
  }
  assert.equal(winners.size, 1_200);
  assert.equal(runIds.size, 4);
  const pool = await store.readPool('base');
  assert.deepEqual([pool?.ready, pool?.live, pool?.counters.hits], [300, 1_500, 1_200]);
  for (const [id, request] of [...winners].slice(0, 20)) {
    const answer = await store.claim(request);
    assert.equal(answer.kind === 'claimed' && answer.repeated && answer.record.id, id);
  }
  assert.deepEqual(await store.healIndexes(), { readded: 0, dropped: 0 });
});

test('redis: without a server every verb fails at once, and works again when it is back', {
  skip,
}, async () => {
  await using server = await RedisServer.start({ aof: true });
  await using store = await openStore(server.url);
  const scenario = new StoreScenario(store);
  await scenario.declare();
  const record = await scenario.claimed();
  const ready = await scenario.ready();
  await server.kill();
  await until(() => !store.health().healthy, 'the loss to be noticed');
  const startedAtMs = performance.now();
  await assert.rejects(scenario.claim(), (error) => unavailable(error) && retryHint(error) > 0);
  await assert.rejects(store.get(record.id, 'alice'), unavailable);
  await assert.rejects(store.renew({ id: record.id, tenant: 'alice' }, null, 'extend'), unavailable);
  await assert.rejects(store.list({ tenant: 'alice', pageSize: 10 }), unavailable);
  await assert.rejects(store.beginStop({ id: record.id, tenant: 'alice' }, 'deleted'), unavailable);
  await assert.rejects(store.readPool('base'), unavailable);
  await assert.rejects(store.follow(null, never), unavailable);
  // Waiting for an answer would be a second and a half for each of the seven.
  assert.ok(performance.now() - startedAtMs < 9_000);
  await server.restart();
  await until(() => store.health().healthy, 'the server to be known');
  const answer = await scenario.claim();
  assert.equal(answer.kind === 'claimed' && answer.record.id, ready.id);
  assert.equal((await store.get(record.id, 'alice'))?.state, 'running');
});

test('redis: D13 a server that was not identified at first is asked again, however well it answers else', {
  skip,
}, async () => {
  await using server = await RedisServer.start();
  await using store = await openStore(server.url);
  await new StoreScenario(store).declare();
  const admin = server.client();
  await admin.acl('SETUSER', 'default', '-info');
  await admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
  await until(() => !store.health().healthy, 'the loss to be noticed');
  await until(async () => (await store.readPool('base').catch(() => null)) !== null, 'answers');
  assert.equal(store.health().healthy, false);
  await admin.acl('SETUSER', 'default', '+info');
  await until(() => store.health().healthy, 'the server to be known');
});

test('redis: D13 whichever connection comes back, its server is identified anew', { skip }, async () => {
  await using server = await RedisServer.start();
  await using store = await openStore(server.url);
  const admin = server.client();
  for (const name of ['warmpool-claims', 'warmpool-background']) {
    const { sinceMs } = store.health();
    const list = String(await admin.client('LIST'));
    const id = list.split('\n').find((line) => line.includes(`name=${name} `));
    await admin.call('CLIENT', 'KILL', 'ID', /^id=(\d+)/.exec(id ?? '')?.[1] ?? '');
    await until(() => store.health().healthy && store.health().sinceMs > sinceMs, 'it to be known anew');
  }
});

test('redis: a report made during a short outage arrives when the server is back', { skip }, async () => {
  await using server = await RedisServer.start({ aof: true });
  await using store = await openStore(server.url);
  const scenario = new StoreScenario(store);
  await scenario.declare();
  const starting = await scenario.starting();
  await server.kill();
  const reporting = store.reportReady(starting);
  await server.restart();
  const answer = await reporting;
  assert.equal(answer.kind === 'done' && answer.record.state, 'ready');
});

test('redis: D1 a claim that a stalled server carries out later is answered to its repetition', {
  skip,
}, async () => {
  await using server = await RedisServer.start();
  await using store = await openStore(server.url);
  const scenario = new StoreScenario(store);
  await scenario.declare();
  await scenario.ready();
  await scenario.ready();
  const request = scenario.request();
  server.pause();
  const startedAtMs = performance.now();
  await assert.rejects(store.claim(request), unavailable);
  assert.ok(performance.now() - startedAtMs < 30_000);
  assert.equal(store.health().healthy, false);
  server.resume();
  const answer = await claimUntilAnswered(store, request);
  assert.equal(answer.kind, 'claimed');
  assert.equal((await store.readPool('base'))?.ready, 1);
  await until(() => store.health().healthy, 'the server to be known');
});

test('redis: scripts that the server forgot are sent again', { skip }, async () => {
  await using server = await RedisServer.start();
  await using store = await openStore(server.url);
  const scenario = new StoreScenario(store);
  await scenario.declare();
  await scenario.claimed();
  await server.client().script('FLUSH');
  await scenario.claimed();
});

test('redis: a follower reads on from its place after an outage', { skip }, async () => {
  await using server = await RedisServer.start({ aof: true });
  await using store = await openStore(server.url);
  const scenario = new StoreScenario(store);
  await scenario.declare();
  const stop = new AbortController();
  const events: StoreEvent[] = [];
  const batches = await store.follow(null, stop.signal);
  const following = (async () => {
    for await (const batch of batches) events.push(...batch);
  })();
  const before = await scenario.ready();
  await until(() => events.length === 2, 'the events before');
  await server.kill();
  await server.restart();
  await until(() => store.health().healthy, 'the server to be known');
  // Another process sees the server earlier than the follower does.
  const after = await scenario.ready();
  await until(() => events.length === 4, 'the events after');
  stop.abort();
  await following;
  assert.deepEqual(
    events.map(({ id, to }) => [id, to]),
    [
      [before.id, 'starting'],
      [before.id, 'ready'],
      [after.id, 'starting'],
      [after.id, 'ready'],
    ],
  );
});

test('redis: a cursor whose events were trimmed away is refused, a kept one is not', { skip }, async () => {
  await using server = await RedisServer.start();
  await using store = await openStore(server.url);
  const scenario = new StoreScenario(store);
  await scenario.declare();
  const following = firstEvents(await store.follow(null, never), 6);
  for (let made = 0; made < 3; made += 1) await scenario.ready();
  const events = await following;
  const client = server.client();
  const [stream = ''] = await client.keys('wp:*:events');
  await client.xtrim(stream, 'MAXLEN', 3);
  const tooOld = (error: unknown) =>
    isWarmpoolError(error) &&
    error.code === 'INVALID_REQUEST' &&
    /too old/.test(error.details.violations?.[0]?.description ?? '');
  await assert.rejects(collectAfter(store, events[0]?.cursor ?? '', 1), tooOld);
  assert.deepEqual(await collectAfter(store, events[3]?.cursor ?? '', 2), events.slice(4));
  await client.del(stream);
  await assert.rejects(collectAfter(store, events[3]?.cursor ?? '', 1), tooOld);
});

test('redis: a follower leaves no connection behind, whichever side ends it', { skip }, async () => {
  await using server = await RedisServer.start();
  const watcher = server.client();
  const connections = async () =>
    String(await watcher.client('LIST'))
      .trim()
      .split('\n').length;
  const alone = await connections();
  {
    await using store = await openStore(server.url);
    const opened = await connections();
    const scenario = new StoreScenario(store);
    await scenario.declare();
    const following = firstEvents(await store.follow(null, never), 1);
    await scenario.starting();
    await following;
    const stop = new AbortController();
    const batches = await store.follow(null, stop.signal);
    const aborted = (async () => {
      for await (const _batch of batches) stop.abort();
    })();
    await scenario.starting();
    await aborted;
    await until(async () => (await connections()) === opened, 'its connection to be closed');
    await store.follow(null, never);
  }
  await until(async () => (await connections()) === alone, 'all connections to be closed');
});

test('redis: many followers share one connection, and each hears everything', { skip }, async () => {
  await using server = await RedisServer.start();
  const watcher = server.client();
  await using store = await openStore(server.url);
  const scenario = new StoreScenario(store);
  await scenario.declare();
  const before = String(await watcher.client('LIST'))
    .trim()
    .split('\n').length;
  const followers = await Promise.all(Array.from({ length: 50 }, () => store.follow(null, never)));
  const following = followers.map((follower) => firstEvents(follower, 4));
  const first = await scenario.ready();
  await until(
    async () =>
      String(await watcher.client('LIST'))
        .trim()
        .split('\n').length ===
      before + 1,
    'one connection for all of them',
  );
  const second = await scenario.ready();
  for (const events of await Promise.all(following)) {
    assert.deepEqual(
      events.map(({ id, to }) => [id, to]),
      [
        [first.id, 'starting'],
        [first.id, 'ready'],
        [second.id, 'starting'],
        [second.id, 'ready'],
      ],
    );
  }
});

test('redis: what comes close behind an event is heard together with one read', { skip }, async () => {
  await using server = await RedisServer.start();
  const watcher = server.client();
  const clock = new RestHoldingClock();
  await using store = new RedisPoolStore({ clock, warn: () => {} }, { url: server.url });
  await store.open();
  const scenario = new StoreScenario(store);
  await scenario.declare({ minReady: 500, maxReady: 500, maxTotal: 500, startsInFlightMax: 500 });
  const stop = new AbortController();
  const heard: StoreEvent[] = [];
  const batches = await store.follow(null, stop.signal);
  const following = (async () => {
    for await (const batch of batches) heard.push(...batch);
  })();
  let made = 0;
  const make = async () => {
    await scenario.ready();
    made += 1;
  };
  // By its first events the follower has read the past: from then on only the tail reads.
  await make();
  await until(() => heard.length === 2, 'the first events');
  const held: { end?: () => void } = {};
  void clock.nextRest().then((end) => {
    held.end = end;
  });
  while (!held.end) await make();
  const reads = async () => Number(/cmdstat_xread:calls=(\d+)/.exec(await watcher.info('commandstats'))?.[1]);
  const before = await reads();
  for (let more = 0; more < 10; more += 1) await make();
  assert.equal(await reads(), before, 'nothing is read while the tail rests');
  held.end();
  await until(() => heard.length === 2 * made, 'all events');
  // A read that waits counts when it ends, so the next one may be among them.
  assert.ok((await reads()) <= before + 2, 'one read has heard all of them');
  stop.abort();
  await following;
});

test('redis: a follower too slow to be remembered for reads again, and misses nothing', {
  skip,
}, async () => {
  await using server = await RedisServer.start();
  await using store = await openStore(server.url);
  const scenario = new StoreScenario(store);
  // More events than are kept in memory for one follower, fewer than are kept in the stream.
  const count = 2_600;
  await scenario.declare({ minReady: count, maxReady: count, maxTotal: count, startsInFlightMax: count });
  const stop = new AbortController();
  const events: StoreEvent[] = [];
  const follower = await store.follow(null, stop.signal);
  await scenario.ready();
  for await (const batch of follower) {
    if (events.length === 0) {
      for (let made = 1; made < count; made += 100) {
        await Promise.all(Array.from({ length: Math.min(100, count - made) }, () => scenario.ready()));
      }
    }
    events.push(...batch);
    if (events.length >= 2 * count) stop.abort();
  }
  assert.equal(events.length, 2 * count);
  assert.equal(new Set(events.map(({ id, to }) => `${id} ${to}`)).size, 2 * count);
});

test('redis: a follower that nobody stopped ends with its store', { skip }, async () => {
  await using server = await RedisServer.start();
  const store = await openStore(server.url);
  const ended = firstEvents(await store.follow(null, never), 1);
  await store[Symbol.asyncDispose]();
  assert.deepEqual(await ended, []);
});

function retryHint(error: unknown): number {
  return isWarmpoolError(error) ? (error.details.retryAfterMs ?? 0) : 0;
}

test('redis: a store that is closed has no connections any more, not even for a follower who never came back', {
  skip,
}, async () => {
  await using server = await RedisServer.start();
  const ours = async () => /name=warmpool-/.test(String(await server.admin.call('CLIENT', 'LIST')));
  {
    await using store = await openStore(server.url);
    const scenario = new StoreScenario(store);
    await scenario.declare();
    const events = (await store.follow(null, never))[Symbol.asyncIterator]();
    const first = events.next();
    await scenario.ready();
    assert.equal((await first).done, false);
    assert.ok(await ours());
  }
  await until(async () => !(await ours()), 'all connections of the store to be closed');
});
