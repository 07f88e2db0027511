import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { loadPools } from '../../src/config/pool-files.ts';
import { CuttingProxy } from '../support/cutting-proxy.ts';
import { pickSeed, seededRandom } from '../support/random.ts';
import { RedisServer } from '../support/redis-server.ts';
import { ServiceFolder } from '../support/service.ts';
import { violationsIn } from './checker.ts';
import { ClaimingClient } from './claiming-client.ts';
import { emptyPool } from './claims-under-kill.ts';
import { History } from './history.ts';
import { Inventory } from './inventory.ts';
import { ServiceFleet } from './service-fleet.ts';

/**
 * T2: one in twenty pieces of what the store and the services answer is swallowed, and the connection with it. Exactly as
 * many sandboxes are taken as requests were answered.
 */
export async function lostRepliesLoseNothing(
  context: TestContext,
  size: { readonly claims: number; readonly clients: number },
): Promise<void> {
  const seed = pickSeed();
  const random = seededRandom(seed);
  using history = new History(context, seed);
  await using redis = await RedisServer.start({ aof: true });
  await using stored = await CuttingProxy.start(redis.socketPath);
  using folder = new ServiceFolder([emptyPool]);
  const [spec] = loadPools(folder.pools);
  assert.ok(spec);
  const count = size.claims + 100;
  await using inventory = await Inventory.fill(redis.url, spec, count);
  const env = { WARMPOOL_RUNTIME: 'bubblewrap', REDIS_URL: `unix://${stored.socketPath}` };
  await using fleet = await ServiceFleet.start(history, ['allocator', 'allocator'], {
    pools: [emptyPool],
    env,
  });
  const [one = '', other = ''] = fleet.addresses;
  await using first = await CuttingProxy.startAtPort(one);
  await using second = await CuttingProxy.startAtPort(other);
  const proxies = [stored, first, second];
  // The first piece of each is always cut: chance alone might spare a short run.
  for (const proxy of proxies) proxy.cutWhen(() => proxy.cuts === 0 || random() < 0.05);

  const given = new Map<string, string>();
  let left = size.claims;
  const addresses = [first.address, second.address];
  await Promise.all(
    Array.from({ length: size.clients }, async (_, index) => {
      using client = new ClaimingClient(history, () => addresses, index);
      for (; left > 0; ) {
        left -= 1;
        const requestId = `r-${left}`;
        given.set(requestId, await client.claim({ requestId }));
      }
    }),
  );
  for (const proxy of proxies) proxy.cutWhen(() => false);
  context.diagnostic(`${given.size} claims, cuts: ${proxies.map(({ cuts }) => cuts).join(', ')}`);
  for (const proxy of proxies) assert.ok(proxy.cuts > 0);
  assert.equal(new Set(given.values()).size, size.claims);
  const pool = await inventory.store.readPool('base');
  assert.deepEqual([pool?.ready, pool?.counters.hits], [count - size.claims, size.claims]);
  assert.deepEqual(violationsIn(history.lines()), []);
  history.sound();
}
