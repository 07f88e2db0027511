import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { SystemClock } from '../../src/domain/clock.ts';
import { RedisPoolStore } from '../../src/store/redis/redis-pool-store.ts';
import { RedisServer } from '../support/redis-server.ts';
import { requirement } from '../support/requirements.ts';
import { storeContract } from './contract.ts';

const { skip } = await requirement('redis');
let server: RedisServer;

if (skip === false) {
  before(async () => {
    server = await RedisServer.start();
  });
  after(() => server.stop());
}

storeContract({
  name: 'redis',
  skip,
  open: async () => {
    await server.client().flushall();
    const store = new RedisPoolStore({ clock: new SystemClock(), warn: () => {} }, { url: server.url });
    await store.open();
    return store;
  },
});

test('commands of one turn of the event loop reach the server together', { skip }, async () => {
  const store = new RedisPoolStore({ clock: new SystemClock(), warn: () => {} }, { url: server.url });
  await store.open();
  try {
    const readsOf = async () =>
      Number(/total_reads_processed:(\d+)/.exec(await server.client().info('stats'))?.[1]);
    // A script is sent as a whole the first time.
    await store.readPool('nobody');
    const before = await readsOf();
    await Promise.all(Array.from({ length: 50 }, () => store.readPool('nobody')));
    const reads = (await readsOf()) - before;
    // The question itself is one, and what the store asks by itself now and then.
    assert.ok(reads < 25, `${reads} reads for 50 commands`);
  } finally {
    await store[Symbol.asyncDispose]();
  }
});
