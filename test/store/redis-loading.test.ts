import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Redis } from 'ioredis';
import { SystemClock } from '../../src/domain/clock.ts';
import { isWarmpoolError } from '../../src/domain/errors.ts';
import { RedisPoolStore } from '../../src/store/redis/redis-pool-store.ts';
import { RedisServer } from '../support/redis-server.ts';
import { requirement } from '../support/requirements.ts';
import { StoreScenario } from '../support/store-scenario.ts';
import { until } from '../support/until.ts';

const { skip } = await requirement('redis');

function newStore(url: string): RedisPoolStore {
  return new RedisPoolStore({ clock: new SystemClock(), warn: () => {} }, { url });
}

test('redis: a server that loads its data is no failure for long: who opens waits, who claims is told to come again', {
  skip,
}, async (context) => {
  // It looks at its sockets after each thousand keys: three times a second.
  const slowly = ['--key-load-delay', '250'];
  await using server = await RedisServer.start({ aof: true, arguments: slowly });
  await using store = newStore(server.url);
  await store.open();
  const scenario = new StoreScenario(store);
  await scenario.declare();
  const ready = await scenario.ready();
  const fillers = server.admin.pipeline();
  for (let each = 0; each < 10_000; each += 1) fillers.set(`filler:${each}`, 'x');
  await fillers.exec();
  await server.kill();
  const loaded = server.restart();
  const looker = new Redis({ path: server.socketPath, enableReadyCheck: false });
  context.after(() => looker.disconnect());
  looker.on('error', () => {});
  const isLoading = async () => /loading:1/.test(await looker.info('persistence'));
  await until(isLoading, 'the server to load its data');
  await using late = newStore(server.url);
  const opened = late.open();
  const request = scenario.request();
  await assert.rejects(
    store.claim(request),
    (error) => isWarmpoolError(error) && error.code === 'STORE_UNAVAILABLE',
  );
  assert.ok(await isLoading(), 'the claim was refused while the server loaded its data');
  await loaded;
  await opened;
  assert.equal((await late.readPool('base'))?.ready, 1);
  await until(() => store.health().healthy, 'the store to be healthy again');
  const answer = await store.claim(request);
  assert.equal(answer.kind === 'claimed' && answer.record.id, ready.id);
});
