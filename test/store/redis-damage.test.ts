import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Redis } from 'ioredis';
import { SystemClock } from '../../src/domain/clock.ts';
import { isWarmpoolError } from '../../src/domain/errors.ts';
import { newSandboxId, shardOfPool, shardTag } from '../../src/domain/ids.ts';
import { RedisPoolStore } from '../../src/store/redis/redis-pool-store.ts';
import { pickSeed, seededRandom } from '../support/random.ts';
import { RedisServer } from '../support/redis-server.ts';
import { requirement } from '../support/requirements.ts';
import { fence, StoreScenario } from '../support/store-scenario.ts';

/** What is in Redis is not trusted: lost and made-up index members, records with missing or senseless fields. */

const { skip } = await requirement('redis');
let server: RedisServer;
let raw: Redis;

if (skip === false) {
  before(async () => {
    server = await RedisServer.start();
    raw = server.client();
  });
  after(() => server.stop());
}

const prefix = `wp:${shardTag(shardOfPool('base'))}:`;
const recordKey = (id: string) => `${prefix}sandbox:${id}`;
const poolKey = `${prefix}pool:base`;

async function openScenario(warnings: string[] = []) {
  await raw.flushall();
  const warn = (sentence: string) => void warnings.push(sentence);
  const store = new RedisPoolStore({ clock: new SystemClock(), warn }, { url: server.url });
  await store.open();
  warnings.length = 0;
  const scenario = new StoreScenario(store);
  await scenario.declare();
  return Object.assign(scenario, { [Symbol.asyncDispose]: () => store[Symbol.asyncDispose]() });
}

const damaged = (id: string) => (error: unknown) =>
  isWarmpoolError(error) && error.code === 'INTERNAL' && error.details.facts?.id === id;

test('redis: T8 D5 lost members come back, garbage goes, and nothing is killed', { skip }, async (t) => {
  const seed = pickSeed();
  t.diagnostic(`WARMPOOL_SEED=${seed}`);
  const random = seededRandom(seed);
  await using scenario = await openScenario();
  const { store } = scenario;
  const ids: string[] = [];
  for (let made = 0; made < 20; made += 1) {
    ids.push((await scenario.claimed()).id, (await scenario.coldStart({ warm: false })).id);
  }
  for (let made = 0; made < 20; made += 1) {
    ids.push((await scenario.ready()).id, (await scenario.starting()).id);
  }
  assert.deepEqual(await store.healIndexes(), { readded: 0, dropped: 0 });
  const [running = ''] = ids;

  const indexes = [
    `${prefix}leases`,
    `${poolKey}:ready`,
    `${poolKey}:starting`,
    `${poolKey}:live`,
    `${prefix}owned:alice`,
    `${prefix}node:node-a`,
  ];
  const before = await membersOf(indexes);
  let lost = 0;
  let garbage = 0;
  for (const [index, members] of before) {
    const isSet = index.includes(':node:');
    for (const member of members) {
      if (random() < 0.1) lost += isSet ? await raw.srem(index, member) : await raw.zrem(index, member);
      if (random() < 0.1) {
        const made = newSandboxId(shardOfPool('base'));
        garbage += isSet
          ? await raw.sadd(index, made)
          : await raw.zadd(index, Math.floor(random() * 1e12), made);
      }
    }
  }
  // A sandbox of one state in the index of another is garbage too.
  garbage += await raw.zadd(`${poolKey}:ready`, 1, running);
  garbage += await raw.sadd(`${prefix}node:node-b`, running);
  garbage += await raw.zadd(`${prefix}owned:bob`, 1, running);

  assert.deepEqual(await store.healIndexes(), { readded: lost, dropped: garbage });
  assert.deepEqual(await store.healIndexes(), { readded: 0, dropped: 0 });
  for (const [index, members] of await membersOf(indexes)) {
    for (const member of before.get(index) ?? [])
      assert.ok(members.includes(member), `${member} is in ${index}`);
  }
  for (const id of ids) {
    const state = (await store.get(id, null))?.state ?? '';
    assert.ok(['running', 'starting', 'ready'].includes(state), state);
  }
});

test('redis: D5 a record that was let go is in no index, and healing leaves it so', { skip }, async () => {
  await using scenario = await openScenario();
  const record = await scenario.claimed();
  await scenario.store.beginStop({ id: record.id, tenant: 'alice' }, 'deleted');
  await scenario.store.finishStop(fence(record));
  assert.deepEqual(await scenario.store.healIndexes(), { readded: 0, dropped: 0 });
  const keys = (await raw.keys(`${prefix}*`)).sort();
  const kept = [`${prefix}events`, poolKey, `${prefix}request:alice:request-1`, recordKey(record.id)];
  assert.deepEqual(keys, kept.sort());
  const lifeMs = await raw.pttl(recordKey(record.id));
  assert.ok(lifeMs > 590_000 && lifeMs <= 600_000);
  const memoryMs = await raw.pttl(`${prefix}request:alice:request-1`);
  assert.ok(memoryMs > 590_000 && memoryMs <= 600_000);
});

test('redis: the record of one whose time was up is kept for an hour', { skip }, async () => {
  await using scenario = await openScenario();
  const record = await scenario.claimed();
  await scenario.store.renew({ id: record.id, tenant: 'alice' }, 0, 'set');
  await scenario.store.expire(record.id, record.incarnation);
  await scenario.store.finishStop(fence(record));
  const lifeMs = await raw.pttl(recordKey(record.id));
  assert.ok(lifeMs > 3_590_000 && lifeMs <= 3_600_000);
});

test('redis: a damaged record is an error that names it, and harms no other', { skip }, async () => {
  const warnings: string[] = [];
  await using scenario = await openScenario(warnings);
  const { store } = scenario;
  const healthy = await scenario.claimed();
  const damages: readonly ((key: string) => Promise<unknown>)[] = [
    (key) => raw.hdel(key, 'state'),
    (key) => raw.hset(key, 'state', 'asleep'),
    (key) => raw.hdel(key, 'incarnation'),
    (key) => raw.hset(key, 'incarnation', 'many'),
    (key) => raw.hset(key, 'incarnation', '1.5e300'),
    (key) => raw.hdel(key, 'pool'),
    (key) => raw.hset(key, 'custom', '{"env":{"A":1},"metadata":{}}'),
    (key) => raw.hset(key, 'custom', '{'),
    (key) => raw.hdel(key, 'expires'),
    (key) => raw.hset(key, 'expires', ''),
    (key) => raw.hset(key, 'onexpiry', 'party'),
    async (key) => {
      await raw.del(key);
      await raw.hset(key, 'who', 'knows');
    },
  ];
  for (const damage of damages) {
    const { id } = await scenario.claimed();
    await damage(recordKey(id));
    warnings.length = 0;
    await assert.rejects(store.get(id, null), damaged(id), damage.toString());
    await assert.doesNotReject(store.inventory('node-a'));
    assert.ok(warnings.some((sentence) => sentence.includes(id)));
    assert.ok(
      (await store.list({ tenant: 'alice', pageSize: 100 })).records.every((record) => record.id !== id),
    );
    await assert.doesNotReject(store.due(100));
    await assert.doesNotReject(store.healIndexes());
    assert.equal((await store.renew({ id: healthy.id, tenant: 'alice' }, null, 'extend')).kind, 'done');
    await raw.del(recordKey(id));
  }
});

test('redis: a verb on a damaged record changes nothing', { skip }, async () => {
  await using scenario = await openScenario();
  const { store } = scenario;
  const record = await scenario.claimed();
  await raw.hset(recordKey(record.id), 'expires', 'soon');
  const stored = await raw.hgetall(recordKey(record.id));
  const verbs: readonly (() => Promise<unknown>)[] = [
    () => store.renew({ id: record.id, tenant: 'alice' }, null, 'extend'),
    () => store.beginStop({ id: record.id, tenant: 'alice' }, 'deleted'),
    () => store.expire(record.id, record.incarnation),
    () => store.finishStop(fence(record)),
    () => store.reportReady(fence(record)),
    () => store.reportFailed(fence(record), 'link_lost', 'gone'),
  ];
  for (const verb of verbs) await assert.rejects(verb(), damaged(record.id), verb.toString());
  assert.deepEqual(await raw.hgetall(recordKey(record.id)), stored);
});

test('redis: a key of a wrong type is an error for its own sandbox only', { skip }, async () => {
  await using scenario = await openScenario();
  const { store } = scenario;
  const { id } = await scenario.claimed();
  await raw.del(recordKey(id));
  await raw.set(recordKey(id), 'not a hash');
  const internal = (error: unknown) => isWarmpoolError(error) && error.code === 'INTERNAL';
  await assert.rejects(store.get(id, null), internal);
  await assert.rejects(store.renew({ id, tenant: 'alice' }, null, 'extend'), internal);
  await assert.doesNotReject(store.inventory('node-a'));
  await assert.doesNotReject(store.list({ tenant: 'alice', pageSize: 10 }));
  await assert.doesNotReject(store.due(10));
  await assert.doesNotReject(store.healIndexes());
  assert.equal(store.health().healthy, true);
});

test('redis: D18 garbage among the ready ones is passed over', { skip }, async () => {
  await using scenario = await openScenario();
  const claimed = await scenario.claimed();
  const broken = await scenario.ready();
  await raw.hdel(recordKey(broken.id), 'incarnation');
  await raw.set(recordKey('no-hash'), 'x');
  for (const member of ['', 'x', 'no-hash', scenario.newId(), claimed.id]) {
    await raw.zadd(`${poolKey}:ready`, 1, member);
  }
  const good = await scenario.ready();
  const answer = await scenario.claim();
  assert.equal(answer.kind === 'claimed' && answer.record.id, good.id);
  assert.equal((await scenario.store.get(claimed.id, 'alice'))?.incarnation, claimed.incarnation);
});

test('redis: garbage in the lease index is dropped by the reaper and never ends anything', {
  skip,
}, async () => {
  await using scenario = await openScenario();
  const { store } = scenario;
  const running = await scenario.claimed();
  const ready = await scenario.ready();
  const gone = scenario.newId();
  for (const id of [ready.id, running.id, gone]) await raw.zadd(`${prefix}leases`, 1, id);
  const due = await store.due(10);
  assert.deepEqual(due.map(({ id }) => id).sort(), [ready.id, running.id, gone].sort());
  for (const { id, incarnation } of due) assert.notEqual((await store.expire(id, incarnation)).kind, 'done');
  assert.equal((await store.get(ready.id, null))?.state, 'ready');
  assert.equal((await store.get(running.id, null))?.state, 'running');
  assert.equal(await raw.zscore(`${prefix}leases`, gone), null);
});

test('redis: a claim whose record is gone is answered from what was remembered', { skip }, async () => {
  await using scenario = await openScenario();
  await scenario.ready();
  const request = scenario.request();
  const first = await scenario.store.claim(request);
  assert.equal(first.kind, 'claimed');
  await raw.del(recordKey(first.record.id));
  const again = await scenario.store.claim(request);
  assert.equal(again.kind, 'claimed');
  const { lease: _lease, ...remembered } = first.record;
  assert.deepEqual(again, { kind: 'claimed', repeated: true, record: { ...remembered, state: 'stopped' } });
});

test('redis: a start that fails late does not take the request id from a newer one', { skip }, async () => {
  await using scenario = await openScenario();
  const { store } = scenario;
  const request = scenario.request();
  const cold = () => ({ id: scenario.newId(), nodeId: 'node-a', bootTimeoutMs: 60_000 });
  const first = await store.claim({ ...request, cold: cold() });
  assert.equal(first.kind, 'starting');
  // As if the memory had run out while the first was still booting.
  await raw.del(`${prefix}request:alice:${request.requestId}`);
  const second = await store.claim({ ...request, cold: cold() });
  assert.equal(second.kind, 'starting');
  assert.notEqual(second.record.id, first.record.id);
  await store.reportFailed(fence(first.record), 'boot_failed', 'no');
  const third = await store.claim({ ...request, cold: cold() });
  assert.equal(third.kind, 'starting');
  assert.equal(third.record.id, second.record.id);
});

test('redis: damaged pools, heartbeats, memories and events are errors or left out', { skip }, async () => {
  const warnings: string[] = [];
  await using scenario = await openScenario(warnings);
  const { store } = scenario;
  const internal = (error: unknown) => isWarmpoolError(error) && error.code === 'INTERNAL';
  await store.heartbeat({
    nodeId: 'node-a',
    runtimes: [],
    pools: [],
    draining: false,
    obeys: null,
    sandboxes: 0,
    capacity: 1,
  });
  await raw.hset('wp:nodes', 'node-x', '{"at":1}', 'node-y', 'nonsense');
  assert.deepEqual(
    (await store.nodes()).map(({ nodeId }) => nodeId),
    ['node-a'],
  );
  assert.equal(warnings.length, 2);

  // MessagePack that announces more bytes than there are.
  await raw.set(`${prefix}request:alice:bad`, Buffer.from([0xda, 0xff]));
  await assert.rejects(scenario.claim({ requestId: 'bad' }), internal);
  assert.equal((await scenario.claim()).kind, 'empty');

  const stop = new AbortController();
  const told: string[] = [];
  const batches = await store.follow(null, stop.signal);
  const following = (async () => {
    for await (const events of batches) {
      told.push(...events.map(({ id }) => id));
      stop.abort();
    }
  })();
  await raw.xadd(`${prefix}events`, '*', 'hello', 'world');
  const { id } = await scenario.starting();
  await following;
  assert.deepEqual(told, [id]);

  await raw.hset(poolKey, 'maxTotal', 'lots');
  await assert.rejects(store.readPool('base'), internal);
});

async function membersOf(indexes: readonly string[]): Promise<Map<string, string[]>> {
  const members = new Map<string, string[]>();
  for (const index of indexes) {
    members.set(
      index,
      index.includes(':node:') ? await raw.smembers(index) : await raw.zrange(index, '0', '-1'),
    );
  }
  return members;
}

test('redis: a pool that an older process declared stays at its minimum, and keeps how it was scaled', {
  skip,
}, async () => {
  await using scenario = await openScenario();
  const { store } = scenario;
  const older = {
    minReady: 2,
    maxReady: 9,
    maxTotal: 9,
    startsInFlightMax: 9,
    maxIdleAgeMs: 1_000,
    onMiss: 'cold',
  };
  await raw.del(poolKey);
  await raw.hset(poolKey, { ...older, minReady: 3, spec: 'v1', hits: 7 });
  await raw.hset(poolKey, { declared: JSON.stringify(older), overrides: '{"minReady":3}' });
  const read = await store.readPool('base');
  assert.deepEqual(
    [read?.target, read?.size.targetHitRatio, read?.size.burst, read?.demand],
    [3, 0, 0, null],
  );
  assert.deepEqual([read?.counters.hits, read?.counters.boots, read?.counters.bootMs], [7, 0, 0]);
  for (let boot = 0; boot < 3; boot += 1) await store.reportReady(fence(await scenario.starting()));
  assert.deepEqual(await scenario.reserve(), { kind: 'refused', why: 'target_met' });
  const scaled = await store.scalePool('base', { maxTotal: 8 });
  assert.deepEqual([scaled?.target, scaled?.size.targetHitRatio], [3, 0]);

  const declared = await scenario.declare({ ...older, onMiss: 'cold', targetHitRatio: 0.95, burst: 1 });
  const { minReady, maxTotal, targetHitRatio, burst } = declared.size;
  assert.deepEqual([minReady, maxTotal, targetHitRatio, burst], [3, 8, 0.95, 1]);
  assert.equal((await scenario.declare({ ...older, onMiss: 'cold', burst: 2 })).size.minReady, 2);
});

test('redis: a demand that cannot be read costs its averages, and the next look is written', {
  skip,
}, async () => {
  await using scenario = await openScenario();
  const { store } = scenario;
  await scenario.claimed();
  for (const text of ['', '{', '{"wanted":3}', '[]', 'null', '{"load":{"sampledAtMs":null}}']) {
    await raw.hset(poolKey, { lookedAt: 4_000, wanted: 3, demand: text });
    const read = await store.readPool('base');
    assert.deepEqual([read?.demand?.wanted, read?.demand?.load.sampledAtMs], [3, 4_000]);
    assert.equal(read?.demand?.load.counted.claims, 1);
    const next = read?.demand && {
      ...read.demand,
      wanted: 5,
      load: { ...read.demand.load, sampledAtMs: 5_000 },
    };
    assert.ok(next);
    assert.equal((await store.noteDemand('base', read?.demand ?? null, next))?.demand?.wanted, 5);
  }
});
