import { test } from 'node:test';
import { SystemClock } from '../../src/domain/clock.ts';
import { RedisPoolStore } from '../../src/store/redis/redis-pool-store.ts';
import { keepalivesAgainstReaper } from '../faults/keepalive-against-reaper.ts';
import { pickSeed, seededRandom } from '../support/random.ts';
import { RedisServer } from '../support/redis-server.ts';

/** T7 with the figures of INVARIANTS.md on the real clock. */

test('redis: T7 I5 2,000 leases renewed within 20 ms of their deadline live a full term or are gone', async (context) => {
  const seed = pickSeed();
  context.diagnostic(`WARMPOOL_SEED=${seed}`);
  await using server = await RedisServer.start();
  const clock = new SystemClock();
  await using store = new RedisPoolStore({ clock, warn: () => {} }, { url: server.url });
  await store.open();
  const race = { leases: 2_000, ttlMs: 20_000, spreadMs: 20, random: seededRandom(seed) };
  const { renewed, refused } = await keepalivesAgainstReaper({ store, clock }, race);
  context.diagnostic(`${renewed} renewed, ${refused} were too late`);
});
