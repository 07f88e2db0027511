import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadPools } from '../../src/config/pool-files.ts';
import { violationsIn } from '../faults/checker.ts';
import { ClaimingClient } from '../faults/claiming-client.ts';
import { emptyPool } from '../faults/claims-under-kill.ts';
import { History } from '../faults/history.ts';
import { Inventory } from '../faults/inventory.ts';
import { ServiceFleet } from '../faults/service-fleet.ts';
import { pickSeed } from '../support/random.ts';
import { RedisServer } from '../support/redis-server.ts';
import { ServiceFolder } from '../support/service.ts';

/** T20: `WARMPOOL_TEST_FREEZE_SECONDS` (30) of standing still, twice, in the middle of claims. */

const freezeMs = 1_000 * Number(process.env.WARMPOOL_TEST_FREEZE_SECONDS ?? 30);

test('T20 I1 I2 an allocator that stands still amid claims does no harm when it goes on', async (context) => {
  const count = 20_000;
  using history = new History(context, pickSeed());
  await using redis = await RedisServer.start({ aof: true });
  using folder = new ServiceFolder([emptyPool]);
  const [spec] = loadPools(folder.pools);
  assert.ok(spec);
  await using inventory = await Inventory.fill(redis.url, spec, count);
  const env = { WARMPOOL_RUNTIME: 'bubblewrap', REDIS_URL: redis.url };
  await using fleet = await ServiceFleet.start(history, ['allocator', 'allocator'], {
    pools: [emptyPool],
    env,
  });
  const given = new Map<string, string>();
  let over = false;
  const clients = Array.from({ length: 16 }, async (_, index) => {
    using client = new ClaimingClient(history, () => fleet.addresses, index);
    for (let round = 0; !over && given.size < count - 16; round += 1) {
      const requestId = `c${index}-${round}`;
      given.set(requestId, await client.claim({ requestId }));
      await new Promise<void>((resolve) => setTimeout(resolve, 20));
    }
  });
  for (const index of [0, 1]) {
    await new Promise<void>((resolve) => setTimeout(resolve, 2_000));
    await fleet.freeze(index, freezeMs);
  }
  over = true;
  await Promise.all(clients);
  using client = new ClaimingClient(history, () => fleet.addresses);
  for (const [requestId, sandbox] of [...given].slice(-2_000))
    for (const address of fleet.addresses) assert.equal(await client.replay(address, { requestId }), sandbox);
  context.diagnostic(`${given.size} claims, ${freezeMs} ms of standing still, twice`);
  assert.equal(new Set(given.values()).size, given.size);
  assert.equal((await inventory.store.readPool('base'))?.ready, count - given.size);
  assert.deepEqual(violationsIn(history.lines()), []);
  history.sound();
});
