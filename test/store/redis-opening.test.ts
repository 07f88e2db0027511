import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Clock, SystemClock } from '../../src/domain/clock.ts';
import { isWarmpoolError } from '../../src/domain/errors.ts';
import { RedisPoolStore } from '../../src/store/redis/redis-pool-store.ts';
import { parseRedisUrl } from '../../src/store/redis/redis-url.ts';
import { assertServerFits, parseInfo, serverWarnings } from '../../src/store/redis/server-checks.ts';
import { rightsInTheDocs } from '../support/docs-rights.ts';
import { RedisServer, type RedisServerOptions } from '../support/redis-server.ts';
import { requirement } from '../support/requirements.ts';
import { StoreScenario } from '../support/store-scenario.ts';

const { skip } = await requirement('redis');

function newStore(url: string, warnings: string[] = [], clock: Clock = new SystemClock()): RedisPoolStore {
  return new RedisPoolStore({ clock, warn: (sentence) => void warnings.push(sentence) }, { url });
}

const unsupported = (pattern: RegExp) => (error: unknown) =>
  isWarmpoolError(error) && error.code === 'UNSUPPORTED' && pattern.test(error.message);

test('redis: a server that may evict leases is refused, with the command that mends it', {
  skip,
}, async () => {
  await using server = await RedisServer.start({ arguments: ['--maxmemory-policy', 'allkeys-lru'] });
  await using store = newStore(server.url);
  await assert.rejects(store.open(), unsupported(/CONFIG SET maxmemory-policy noeviction/));
});

test('redis: an old process refuses a newer store and leaves it as it is', { skip }, async () => {
  await using server = await RedisServer.start();
  await server.client().hset('wp:schema', 'version', '2', 'storeId', 'someone');
  await using store = newStore(server.url);
  await assert.rejects(store.open(), unsupported(/schema 2/));
  assert.deepEqual(await server.client().hgetall('wp:schema'), { version: '2', storeId: 'someone' });
});

test('redis: a replica is refused', { skip }, async () => {
  await using master = await RedisServer.start();
  await using replica = await RedisServer.start();
  await replica.client().replicaof('127.0.0.1', 1);
  await using store = newStore(replica.url);
  await assert.rejects(store.open(), unsupported(/replica/));
  await using fine = newStore(master.url);
  await fine.open();
});

test('redis: D3 leases follow the clock of Redis, however wrong ours is', { skip }, async () => {
  await using server = await RedisServer.start();
  const warnings: string[] = [];
  const system = new SystemClock();
  const wrong: Clock = {
    monotonicMs: () => system.monotonicMs(),
    wallMs: () => system.wallMs() + 86_400_000,
    after: (delayMs, callback) => system.after(delayMs, callback),
  };
  await using store = newStore(server.url, warnings, wrong);
  await store.open();
  assert.ok(warnings.some((sentence) => /clock of Redis is 864\d\d\.\d s away/.test(sentence)));
  const scenario = new StoreScenario(store);
  await scenario.declare();
  const record = await scenario.claimed();
  assert.equal(record.lease?.remainingMs, 60_000);
  assert.deepEqual(await store.due(10), []);
  assert.equal((await store.expire(record.id, record.incarnation)).kind, 'not_due');
});

test('redis: what is risky is said once, what is fine is not', { skip }, async () => {
  const said = async (options: RedisServerOptions) => {
    await using server = await RedisServer.start(options);
    const warnings: string[] = [];
    await using store = newStore(server.url, warnings);
    await store.open();
    return warnings.filter((sentence) => /append-only/.test(sentence)).length;
  };
  assert.equal(await said({ aof: false }), 1);
  assert.equal(await said({ aof: true }), 0);
});

test('redis: a store keeps its id over processes and restarts, a new one gets its own', {
  skip,
}, async () => {
  await using server = await RedisServer.start({ aof: true });
  await using first = newStore(server.url);
  await using second = newStore(server.url);
  await Promise.all([first.open(), second.open()]);
  assert.equal(first.storeId, second.storeId);
  await server.kill();
  await server.restart();
  await using third = newStore(server.url);
  await third.open();
  assert.equal(third.storeId, first.storeId);
  await server.client().flushall();
  await using fourth = newStore(server.url);
  await fourth.open();
  assert.notEqual(fourth.storeId, first.storeId);
});

test('redis: a server that is not there is unavailable at once, and nothing stays behind', {
  skip,
}, async () => {
  await using store = newStore('unix:///nonexistent/redis.sock');
  await assert.rejects(
    store.open(),
    (error) => isWarmpoolError(error) && error.code === 'STORE_UNAVAILABLE' && error.cause !== undefined,
  );
});

test('redis: a wrong password is said as such, and not repeated', { skip }, async () => {
  await using server = await RedisServer.start({ arguments: ['--requirepass', 'right'] });
  await using store = newStore(`unix://:wrong@localhost${server.socketPath}`);
  await assert.rejects(
    store.open(),
    (error) =>
      isWarmpoolError(error) &&
      error.details.facts?.redis === 'WRONGPASS' &&
      !/wrong/.test(`${error.message} ${JSON.stringify(error.details)}`),
  );
});

test('redis: databases of one server are stores of their own', { skip }, async () => {
  await using server = await RedisServer.start();
  await using first = newStore(server.url);
  await using second = newStore(`${server.url}?db=3`);
  await first.open();
  await second.open();
  assert.notEqual(first.storeId, second.storeId);
  await new StoreScenario(second).declare();
  assert.equal(await first.readPool('base'), null);
});

test('A20 the store works as an ACL user that has only its own keys and no CONFIG', { skip }, async () => {
  await using server = await RedisServer.start();
  const rights = rightsInTheDocs();
  await server.client().call('ACL', 'SETUSER', 'warmpool', 'on', '>p@ss:word', '~wp:*', ...rights);
  await using store = newStore(`unix://warmpool:p%40ss%3Aword@localhost${server.socketPath}`);
  await store.open();
  const scenario = new StoreScenario(store);
  await scenario.declare();
  const record = await scenario.claimed();
  await store.heartbeat({
    nodeId: 'node-a',
    runtimes: [],
    pools: [],
    draining: false,
    obeys: null,
    sandboxes: 0,
    capacity: 1,
  });
  assert.equal((await store.list({ tenant: 'alice', pageSize: 1 })).records[0]?.id, record.id);
  assert.equal((await store.inventory('node-a')).length, 1);
  assert.deepEqual(await store.healIndexes(), { readded: 0, dropped: 0 });
});

test('a Redis URL names a host, TLS or a socket; anything else is refused without repeating it', () => {
  const optionsOf = (url: string) => parseRedisUrl(url).options;
  assert.deepEqual(optionsOf('redis://h:7000/2'), { host: 'h', port: 7_000, db: 2 });
  assert.deepEqual(optionsOf('redis://[::1]'), { host: '::1', port: 6_379, db: 0 });
  assert.deepEqual(optionsOf('rediss://u:p%40@h'), {
    username: 'u',
    password: 'p@',
    host: 'h',
    port: 6_379,
    db: 0,
    tls: {},
  });
  assert.deepEqual(optionsOf('unix:///run/my.sock?db=4'), { path: '/run/my.sock', db: 4 });
  for (const url of [
    '',
    'localhost',
    'http://secret@h',
    'unix://run/redis.sock',
    'redis://h/x',
    'unix://',
    'redis://:secret@h/-1',
  ]) {
    assert.throws(
      () => parseRedisUrl(url),
      (error) => isWarmpoolError(error) && error.code === 'INVALID_REQUEST' && !/secret/.test(error.message),
      url,
    );
  }
});

test('versions are judged by what INFO says', () => {
  const info = (version: string, more = '') =>
    parseInfo(
      `# Server\r\nredis_version:${version}\r\nmaxmemory_policy:noeviction\r\naof_enabled:1\r\n${more}`,
    );
  assert.throws(() => assertServerFits(info('6.2.14'), 'single'), unsupported(/7\.0 or newer/));
  assertServerFits(info('7.0.0'), 'single');
  const warned = (version: string, more = '') =>
    serverWarnings([{ info: info(version, more), address: '' }], 'single', 0).join();
  for (const version of ['7.0.15', '7.2.10', '7.4.5', '8.0.3', '8.2.1']) {
    assert.match(warned(version), /CVE-2025-49844/);
  }
  for (const version of ['7.2.11', '7.4.6', '8.0.4', '8.2.2', '8.4.0', '9.0.0'])
    assert.equal(warned(version), '');
  assert.equal(warned('7.2.4', 'valkey_version:8.1.0\r\n'), '');
  assert.match(warned('8.4.0', 'connected_slaves:1\r\n'), /min-replicas-to-write/);
  assert.equal(warned('8.4.0', 'connected_slaves:1\r\nmin_slaves_good_slaves:1\r\n'), '');
});
