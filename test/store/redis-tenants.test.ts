import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { SystemClock } from '../../src/domain/clock.ts';
import type { ClaimAnswer, ClaimLimits } from '../../src/store/pool-store.ts';
import { keysOfPool, keysOfTenant } from '../../src/store/redis/keys.ts';
import { RedisPoolStore } from '../../src/store/redis/redis-pool-store.ts';
import { arrivalsPerRound } from '../../src/store/store-limits.ts';
import { RedisServer } from '../support/redis-server.ts';
import { requirement } from '../support/requirements.ts';
import { StoreScenario } from '../support/store-scenario.ts';
import { until } from '../support/until.ts';

/** Limits and queues between processes, each with a store client of its own, over one real Redis. */

const { skip } = await requirement('redis');
const three: ClaimLimits = { maxRunning: 3, createsPerSecond: null, createsBurst: 1 };
const wait = { leaseMs: 600_000, poolMax: 64, tenantMax: 64 };
const { holds } = keysOfTenant('alice');
let server: RedisServer;

if (skip === false) {
  before(async () => {
    server = await RedisServer.start();
  });
  after(() => server.stop());
}

async function open(): Promise<RedisPoolStore> {
  const store = new RedisPoolStore({ clock: new SystemClock(), warn: () => {} }, { url: server.url });
  await store.open();
  return store;
}

async function twoProcesses() {
  await server.client().flushall();
  const stores = [await open(), await open()] as const;
  const scenarios = stores.map((store) => new StoreScenario(store)) as [StoreScenario, StoreScenario];
  await scenarios[0].declare();
  return {
    scenarios,
    async [Symbol.asyncDispose](): Promise<void> {
      await Promise.all(stores.map((store) => store[Symbol.asyncDispose]()));
    },
  };
}

test('redis: a limit holds between processes that claim at once, over pools of different shards', {
  skip,
}, async () => {
  await using processes = await twoProcesses();
  const [one, two] = processes.scenarios;
  const other = new StoreScenario(two.store, 'other-pool');
  await other.declare();
  for (let made = 0; made < 8; made += 1) await Promise.all([one.ready(), other.ready()]);
  const ask = (scenario: StoreScenario, number: number) =>
    scenario.claim({ requestId: `request-${scenario.pool}-${number}`, limits: three });
  const answers = await Promise.all(
    Array.from({ length: 32 }, (_, number) => [ask(one, number), ask(other, number)]).flat(),
  );
  assert.equal(answers.filter(({ kind }) => kind === 'claimed').length, 3);
  assert.equal(answers.filter(({ kind }) => kind === 'over_limit').length, 61);
  assert.equal(await server.client().zcard(holds), 3);
});

test('redis: D2 what a process charged before it died is dropped by the create that it would refuse', {
  skip,
}, async () => {
  await using processes = await twoProcesses();
  const [one] = processes.scenarios;
  for (let made = 0; made < 4; made += 1) await one.ready();
  const limits = { ...three, maxRunning: 2 };
  const first = await one.claim({ limits });
  assert.ok(first.kind === 'claimed');
  // Younger than a claim may take: it may still be on its way, and is never given to another.
  await server.client().zadd(holds, Date.now() + 600_000, 'claim-of-a-dead-process');
  assert.equal((await one.claim({ limits })).kind, 'over_limit');
  await server.client().zadd(holds, Date.now() - 60_000, 'claim-of-a-dead-process');
  // Another process, because this one has looked just now.
  const [, two] = processes.scenarios;
  const second = await two.claim({ requestId: 'of-the-other', limits });
  assert.equal(second.kind, 'claimed');
  assert.equal((await two.claim({ requestId: 'one-too-many', limits })).kind, 'over_limit');
  assert.deepEqual(await server.client().zrange(holds, '0', '-1'), claimIds(first, second));
});

test('redis: holds that a store has lost are counted again by the healer', { skip }, async () => {
  await using processes = await twoProcesses();
  const [one] = processes.scenarios;
  for (let made = 0; made < 3; made += 1) await one.ready();
  const limits = { ...three, maxRunning: 1 };
  assert.equal((await one.claim({ limits })).kind, 'claimed');
  await server.client().del(holds);
  assert.deepEqual(await one.store.healIndexes(), { readded: 1, dropped: 0 });
  assert.equal((await one.claim({ limits })).kind, 'over_limit');
  assert.deepEqual(await one.store.healIndexes(), { readded: 0, dropped: 0 });
});

test('redis: a tenant that had sandboxes before it had a limit is counted with them', { skip }, async () => {
  await using processes = await twoProcesses();
  const [one] = processes.scenarios;
  for (let made = 0; made < 4; made += 1) await one.ready();
  await one.claim();
  await one.claim();
  assert.equal((await one.claim({ limits: three })).kind, 'claimed');
  assert.equal((await one.claim({ limits: three })).kind, 'over_limit');
});

test('redis: creates that come at once are all counted with what their tenant had before it had a limit', {
  skip,
}, async () => {
  await using processes = await twoProcesses();
  const [one, two] = processes.scenarios;
  for (let made = 0; made < 8; made += 1) await one.ready();
  await one.claim();
  await one.claim();
  const answers = await Promise.all(
    [1, 2, 3, 4].map((number) => two.claim({ requestId: `at-once-${number}`, limits: three })),
  );
  assert.equal(answers.filter(({ kind }) => kind === 'claimed').length, 1);
});

test('redis: I19 one queue for all processes, and that of a dead one is gone when its places are', {
  skip,
}, async () => {
  await using processes = await twoProcesses();
  const [dead, live] = processes.scenarios;
  for (let came = 0; came < 5; came += 1) {
    const claim = dead.request({ requestId: `of-the-dead-${came}`, wait: { ...wait, leaseMs: 50 } });
    assert.equal((await dead.store.claim(claim)).kind, 'waiting');
  }
  const claim = live.request({ requestId: 'of-the-living', wait });
  assert.equal((await live.store.claim(claim)).kind, 'waiting');
  await live.ready();
  const isServed = async () => (await live.store.claim({ ...claim, waiting: true })).kind === 'claimed';
  await until(isServed, 'the dead kept their places');
  const keys = await server.client().keys('*:wait*');
  assert.deepEqual(keys, [], 'a queue of nobody leaves no keys');
});

test('redis: I19 many who have gone are cleared away in few steps, and those behind them take the turns that are free', {
  skip,
}, async () => {
  await using processes = await twoProcesses();
  const [one] = processes.scenarios;
  const raw = server.client();
  const { pool } = keysOfPool(one.pool);
  const turns = Array.from({ length: 200 }, (_, place) => (place + 1) * arrivalsPerRound + place);
  const seed = raw.pipeline().hset(pool, 'round', 0);
  for (const [place, turn] of turns.entries()) {
    const request = `alice:${place}`;
    seed.zadd(`${pool}:waiters`, turn, request).zadd(`${pool}:waiters:alice`, turn, request);
    // Every other one has died.
    seed.zadd(`${pool}:waiting`, place % 2 === 0 ? 1 : '+inf', request);
  }
  await seed.exec();
  await raw.config('RESETSTAT');
  assert.equal((await one.claim()).kind, 'empty');
  const [, calls = ''] = /cmdstat_zadd:calls=(\d+)/.exec(await raw.info('commandstats')) ?? [];
  assert.ok(Number(calls) < 10, `${calls} calls`);
  const left = turns.slice(0, 100).flatMap((turn, place) => [`alice:${2 * place + 1}`, String(turn)]);
  for (const key of [`${pool}:waiters`, `${pool}:waiters:alice`])
    assert.deepEqual(await raw.zrange(key, '0', '-1', 'WITHSCORES'), left);
  assert.equal(await raw.zcard(`${pool}:waiting`), 100);
});

test('redis: queues that nobody comes to clear expire by themselves', { skip }, async () => {
  await using processes = await twoProcesses();
  const [dead] = processes.scenarios;
  await dead.claim({ wait: { ...wait, leaseMs: 5 } });
  await until(async () => (await server.client().keys('*:wait*')).length === 0, 'the keys stayed');
});

test('redis: a damaged index of shares is healed as the others are', { skip }, async () => {
  await using processes = await twoProcesses();
  const [one] = processes.scenarios;
  await one.store.declarePool({ ...(await one.declare()), reserved: { alice: 2 } });
  await one.ready();
  const claimed = await one.claim();
  assert.ok(claimed.kind === 'claimed');
  const [share = ''] = await server.client().keys('*:share:alice');
  await server.client().zrem(share, claimed.record.id);
  await server.client().zadd(share, 1, one.newId());
  assert.deepEqual(await one.store.healIndexes(), { readded: 1, dropped: 1 });
  assert.deepEqual(await server.client().zrange(share, '0', '-1'), [claimed.record.id]);
});

function claimIds(...answers: readonly ClaimAnswer[]): (string | undefined)[] {
  return answers.map((answer) => (answer.kind === 'claimed' ? answer.record.claim?.claimId : undefined));
}
