import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SystemClock } from '../../src/domain/clock.ts';
import { isWarmpoolError } from '../../src/domain/errors.ts';
import { shardTag } from '../../src/domain/ids.ts';
import { withinDeadline } from '../../src/store/redis/command-deadline.ts';
import { hashSlot } from '../../src/store/redis/hash-slot.ts';
import { RedisPoolStore } from '../../src/store/redis/redis-pool-store.ts';
import { readRedisTls } from '../../src/store/redis/redis-tls.ts';
import { parseRedisUrl } from '../../src/store/redis/redis-url.ts';
import { RedisServer } from '../support/redis-server.ts';
import { requirement } from '../support/requirements.ts';
import { StoreScenario } from '../support/store-scenario.ts';
import { until } from '../support/until.ts';

const { skip } = await requirement('redis');

async function openStore(url: string, more: { durability?: 'wait'; onUnreplicated?: () => void } = {}) {
  const observer = { claimNotReplicated: more.onUnreplicated ?? (() => {}) };
  const durability = more.durability ?? 'async';
  const store = new RedisPoolStore(
    { clock: new SystemClock(), warn: () => {}, observer },
    { url, durability },
  );
  await store.open();
  return store;
}

const unavailable = (error: unknown) => isWarmpoolError(error) && error.code === 'STORE_UNAVAILABLE';

function refusal(pattern: RegExp): (error: unknown) => boolean {
  return (error) =>
    isWarmpoolError(error) &&
    error.code === 'INVALID_REQUEST' &&
    pattern.test(error.message) &&
    !/s3cret/.test(`${error.message} ${JSON.stringify(error.details)}`);
}

test('sentinels are named with their master, and each side has its own password', () => {
  assert.deepEqual(parseRedisUrl('redis+sentinel://a,b:1,[::1]:2/main/3'), {
    kind: 'sentinel',
    options: {
      sentinels: [
        { host: 'a', port: 26_379 },
        { host: 'b', port: 1 },
        { host: '::1', port: 2 },
      ],
      name: 'main',
      db: 3,
    },
  });
  const secured = parseRedisUrl('rediss+sentinel://u:p%40@a/m?sentinelUser=su&sentinelPassword=sp', {
    ca: 'CA',
  });
  assert.deepEqual(secured.options, {
    username: 'u',
    password: 'p@',
    tls: { ca: 'CA' },
    sentinels: [{ host: 'a', port: 26_379 }],
    name: 'm',
    db: 0,
    sentinelUsername: 'su',
    sentinelPassword: 'sp',
    sentinelTLS: { ca: 'CA' },
    enableTLSForSentinelMode: true,
  });
});

test('a cluster is named by some of its nodes', () => {
  assert.deepEqual(parseRedisUrl('redis+cluster://:pw@a:7000,b'), {
    kind: 'cluster',
    nodes: [
      { host: 'a', port: 7_000 },
      { host: 'b', port: 6_379 },
    ],
    options: { password: 'pw' },
  });
});

for (const [url, why] of [
  ['redis+sentinel://:s3cret@a', /name of their master/],
  ['redis+sentinel://:s3cret@a/m/x', /not a number/],
  ['redis+sentinel://:s3cret@a/m?password=s3cret', /sentinelUser and sentinelPassword/],
  ['redis+cluster://:s3cret@a/1', /no database/],
  ['redis+cluster://:s3cret@a,,b', /host or host:port/],
  ['redis+cluster://:s3cret@a:99999', /host or host:port/],
  ['redis+cluster://:s3c%ret@a', /%25/],
  ['redis+other://:s3cret@a', /must begin with/],
] as const) {
  test(`${url} is refused, and nothing of it is repeated`, () => {
    assert.throws(() => parseRedisUrl(url), refusal(why));
  });
}

test('TLS files without TLS, or a certificate without its key, are refused', () => {
  assert.throws(() => parseRedisUrl('redis://:s3cret@a', { ca: 'x' }), refusal(/rediss/));
  assert.throws(
    () => readRedisTls({ caFile: null, certFile: '/x', keyFile: null }),
    refusal(/KEY_FILE: is missing/),
  );
  assert.throws(
    () => readRedisTls({ caFile: '/nonexistent', certFile: null, keyFile: null }),
    refusal(/CA_FILE: the file \/nonexistent cannot be read \(ENOENT\)/),
  );
});

test('the slots of keys are those of the specification', () => {
  assert.equal(hashSlot('123456789'), 0x31c3);
  assert.equal(hashSlot('foo{hash_tag}'), hashSlot('hash_tag'));
  assert.equal(hashSlot('foo{}{bar}'), hashSlot('foo{}{bar}'));
  assert.equal(hashSlot(`wp:${shardTag(7)}:leases`), hashSlot('s07'));
});

test('an answer that came while this process stood still is not late; one that never comes is', async () => {
  const clock = new SystemClock();
  const answered = withinDeadline(
    clock,
    20,
    new Promise((resolve) => setTimeout(() => setImmediate(resolve, 'answer'), 1)),
    () => new Error('late'),
  );
  standStillMs(200);
  assert.equal(await answered, 'answer');
  // Deadlines keep no process alive.
  const alive = setInterval(() => {}, 1_000);
  const never = withinDeadline(clock, 20, new Promise(() => {}), () => new Error('late'));
  await assert.rejects(never, /late/).finally(() => clearInterval(alive));
});

test('redis: a claim that was answered while this process stood still is no failure of the store', {
  skip,
}, async () => {
  await using server = await RedisServer.start();
  await using store = await openStore(server.url);
  const scenario = new StoreScenario(store);
  await scenario.declare();
  const { id } = await scenario.ready();
  const { sinceMs } = store.health();
  const claiming = scenario.claim();
  // As long as a claim may take, and more.
  standStillMs(1_700);
  const answer = await claiming;
  assert.equal(answer.kind === 'claimed' && answer.record.id, id);
  assert.deepEqual([store.health().healthy, store.health().sinceMs], [true, sinceMs]);
});

test('redis: a server that runs the script of another is busy: nothing was done, and the same again is', {
  skip,
}, async () => {
  await using server = await RedisServer.start({ arguments: ['--busy-reply-threshold', '50'] });
  await using store = await openStore(server.url);
  const scenario = new StoreScenario(store);
  await scenario.declare();
  const { id } = await scenario.ready();
  const other = server.client();
  const { admin } = server;
  // No connection can be made once it is busy.
  await Promise.all([other.ping(), admin.ping()]);
  const running = other.eval('while true do end', 0).catch((error: unknown) => String(error));
  await until(
    () =>
      admin.ping().then(
        () => false,
        (error: unknown) => /BUSY/.test(String(error)),
      ),
    'the server says that it is busy',
  );
  const request = scenario.request();
  await assert.rejects(
    store.claim(request),
    (error) => unavailable(error) && isWarmpoolError(error) && error.details.facts?.redis === 'BUSY',
  );
  await admin.script('KILL');
  assert.match(String(await running), /killed/);
  const answer = await store.claim(request);
  assert.equal(answer.kind === 'claimed' && !answer.repeated && answer.record.id, id);
  assert.equal((await store.readPool('base'))?.counters.hits, 1);
});

test('redis: claims that no replica confirms in time stand, and are counted', { skip }, async () => {
  await using server = await RedisServer.start();
  let unreplicated = 0;
  await using store = await openStore(server.url, {
    durability: 'wait',
    onUnreplicated: () => (unreplicated += 1),
  });
  const scenario = new StoreScenario(store);
  await scenario.declare();
  const ready = [(await scenario.ready()).id, (await scenario.ready()).id];
  for (const id of ready) {
    const answer = await scenario.claim();
    assert.equal(answer.kind === 'claimed' && answer.record.id, id);
  }
  assert.equal(unreplicated, 2);
});

test('redis: a node of a cluster and a sentinel say which form of REDIS_URL is theirs', {
  skip,
}, async () => {
  await using node = await RedisServer.start({ arguments: ['--cluster-enabled', 'yes'] });
  await assert.rejects(
    openStore(node.url),
    (error) => isWarmpoolError(error) && /redis\+cluster:/.test(error.message),
  );
});

function standStillMs(ms: number): void {
  const endMs = performance.now() + ms;
  while (performance.now() < endMs);
}
