import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SystemClock } from '../../src/domain/clock.ts';
import { MemoryPoolStore } from '../../src/store/memory/memory-pool-store.ts';
import { RedisPoolStore } from '../../src/store/redis/redis-pool-store.ts';
import { pickSeed, seededRandom } from '../support/random.ts';
import { RedisServer } from '../support/redis-server.ts';
import { requirement } from '../support/requirements.ts';
import { VirtualClock } from '../support/virtual-clock.ts';
import { keepalivesAgainstReaper, renewedBetweenLookAndStep } from './keepalive-against-reaper.ts';

/** T7. On the real clock smaller than in INVARIANTS.md; `npm run test:soak keepalive-against-reaper` has its 2,000. */

const { skip } = await requirement('redis');

test('memory: T7 I5 2,000 leases renewed within 20 ms of their deadline live a full term or are gone', async (context) => {
  const seed = pickSeed();
  context.diagnostic(`WARMPOOL_SEED=${seed}`);
  const clock = new VirtualClock();
  await using store = new MemoryPoolStore({ clock });
  const race = { leases: 2_000, ttlMs: 1_000, spreadMs: 20, random: seededRandom(seed) };
  const { renewed, refused } = await clock.run(keepalivesAgainstReaper({ store, clock }, race));
  context.diagnostic(`${renewed} renewed, ${refused} were too late`);
  assert.ok(renewed > 0 && refused > 0);
});

test('redis: T7 I5 300 leases renewed about their deadline live a full term or are gone', {
  skip,
}, async (context) => {
  const seed = pickSeed();
  context.diagnostic(`WARMPOOL_SEED=${seed}`);
  await using server = await RedisServer.start();
  const clock = new SystemClock();
  await using store = new RedisPoolStore({ clock, warn: () => {} }, { url: server.url });
  await store.open();
  const race = { leases: 300, ttlMs: 2_000, spreadMs: 20, random: seededRandom(seed) };
  const { renewed, refused } = await keepalivesAgainstReaper({ store, clock }, race);
  context.diagnostic(`${renewed} renewed, ${refused} were too late`);
});

test('redis: T7 D12 what was renewed since the reaper looked is not ended', { skip }, async () => {
  await using server = await RedisServer.start();
  await using store = new RedisPoolStore({ clock: new SystemClock(), warn: () => {} }, { url: server.url });
  await store.open();
  await renewedBetweenLookAndStep(store, 50);
});
