import { after, before } from 'node:test';
import { SystemClock } from '../../src/domain/clock.ts';
import { RedisPoolStore } from '../../src/store/redis/redis-pool-store.ts';
import { rightsInTheDocs } from '../support/docs-rights.ts';
import { RedisCluster } from '../support/redis-cluster.ts';
import { requirement } from '../support/requirements.ts';
import { storeContract } from './contract.ts';

/**
 * The whole contract on three masters, as the user whom the docs describe: whatever asks two shards at once would be refused
 * with CROSSSLOT, and whatever the docs forgot with NOPERM.
 */

const { skip } = await requirement('redis');
let cluster: RedisCluster;

if (skip === false) {
  before(async () => {
    cluster = await RedisCluster.start();
    for (const { server } of cluster.nodes) {
      await server.admin.call('ACL', 'SETUSER', 'warmpool', 'on', '>s3cret', '~wp:*', ...rightsInTheDocs());
    }
  });
  after(() => cluster.stop());
}

storeContract({
  name: 'redis cluster',
  skip,
  open: async () => {
    await cluster.flush();
    const store = new RedisPoolStore(
      { clock: new SystemClock(), warn: () => {} },
      { url: cluster.url.replace('://', '://warmpool:s3cret@') },
    );
    await store.open();
    return store;
  },
});
