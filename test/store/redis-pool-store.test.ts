import { after, before } from 'node:test';
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
