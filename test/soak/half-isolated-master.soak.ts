import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as elapse } from 'node:timers/promises';
import { SystemClock } from '../../src/domain/clock.ts';
import { isWarmpoolError } from '../../src/domain/errors.ts';
import type { SandboxRecord } from '../../src/domain/sandbox.ts';
import { RedisPoolStore } from '../../src/store/redis/redis-pool-store.ts';
import { alice, bob, plain, poolSpec, startCore } from '../support/core.ts';
import { FakeRuntime } from '../support/fake-runtime.ts';
import { PersistentClients } from '../support/persistent-client.ts';
import { RedisSentinel } from '../support/redis-sentinel.ts';
import { requirement } from '../support/requirements.ts';
import { StoreScenario } from '../support/store-scenario.ts';
import { until } from '../support/until.ts';

/**
 * T12: a master with two replicas and three sentinels is cut off from all of them for `WARMPOOL_TEST_CUT_SECONDS` (10), and
 * one allocator is on its side of the cut. What that one gives out is lost with the old master: it is refused to begin with
 * once the replicas have been away for long enough, and before that no node lets it be used.
 */

const cutMs = 1_000 * Number(process.env.WARMPOOL_TEST_CUT_SECONDS ?? 10);
const { skip } = await requirement('redis');
const readyCount = 24;
/** As docs/redis.md says, and sooner: it is to be seen within the cut. */
const safeguards = ['--min-replicas-to-write', '1', '--min-replicas-max-lag', '3'];

test('T12 I1 D7 what a master gives out that is cut off from its replicas is never used', {
  skip,
}, async (context) => {
  await using stand = await RedisSentinel.start({
    ...{ replicas: 2, downAfterMs: 1_500, masterBehindPartition: true },
    arguments: safeguards,
  });
  await using store = openStore(stand.url);
  const size = { minReady: readyCount, maxReady: readyCount, maxTotal: 200, startsInFlightMax: readyCount };
  const runtime = new FakeRuntime({ survivesNode: true });
  await using core = await startCore({ store, runtime, pools: [poolSpec({ size })] });
  await using stranded = openStore(stand.firstMasterUrl);
  await stranded.open();
  await core.until('base', ({ ready }) => ready === readyCount);
  await stand.settled();
  const clients = new PersistentClients(core);
  const owner = await clients.use(await clients.create(alice, { ...plain, requestId: 'before' }));
  // The answer to that may be ahead of the replicas.
  const [{ server: old } = assert.fail('there is a master')] = stand.servers;
  await until(async () => Number(await old.admin.wait(2, 1_000)) === 2, 'the replicas to have it');
  const before = store.health().runId;

  stand.partition.cut();
  const cutAtMs = performance.now();
  const given = await claimUntilRefused(stranded);
  const refusedMs = Math.round(performance.now() - cutAtMs);
  await until(() => store.health().healthy && store.health().runId !== before, 'another master');
  const replacedMs = Math.round(performance.now() - cutAtMs);
  const elsewhere = await Promise.all(
    Array.from({ length: readyCount / 2 }, (_, index) =>
      clients.create(bob, { ...plain, requestId: `elsewhere-${index}` }),
    ),
  );
  const used = await Promise.all(elsewhere.map((each) => clients.use(each)));
  // Those who were given something by the old master come with it to the node, before and after the cut.
  const lost = given.map((record, index) => ({
    principal: alice,
    request: { ...plain, requestId: `stranded-again-${index}` },
    record,
  }));
  for (const each of lost) assert.equal(await clients.tryUse(each), false, 'it is nobody’s');
  await elapse(Math.max(0, cutMs - (performance.now() - cutAtMs)));
  stand.partition.heal();
  await until(
    async () => /^role:slave/m.test(await old.admin.info('replication')),
    'the old master to follow',
  );
  for (const each of lost) assert.equal(await clients.tryUse(each), false, 'it is still nobody’s');
  await assert.rejects(new StoreScenario(stranded).claim(), isRefusal);

  const instead = await Promise.all(
    lost.map(async ({ principal, request }) => clients.use(await clients.create(principal, request))),
  );
  const all = [owner, ...used, ...instead];
  assert.deepEqual(clients.doubles, []);
  assert.equal(new Set(all.map(({ record }) => record.id)).size, all.length, 'each has one of its own');
  for (const each of all) assert.ok(await clients.tryUse(each), 'everybody keeps what was used');
  assert.deepEqual(await store.healIndexes(), { readded: 0, dropped: 0 });
  context.diagnostic(
    `${given.length} given out behind the cut, refused after ${refusedMs} ms; another master after ${replacedMs} ms`,
  );
});

function openStore(url: string): RedisPoolStore {
  return new RedisPoolStore({ clock: new SystemClock(), warn: () => {} }, { url });
}

/** What an allocator does that sees the old master only. Returns what it was given until that took no more writes. */
async function claimUntilRefused(store: RedisPoolStore): Promise<readonly SandboxRecord[]> {
  const scenario = new StoreScenario(store);
  const given: SandboxRecord[] = [];
  for (;;) {
    try {
      const answer = await scenario.claim();
      assert.ok(answer.kind === 'claimed', answer.kind);
      given.push(answer.record);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      assert.ok(given.length > 0, 'at first it gives out what it has');
      return given;
    }
    // At a pace at which what is ready lasts until then.
    await elapse(400);
  }
}

function isRefusal(error: unknown): boolean {
  return isWarmpoolError(error) && error.code === 'STORE_UNAVAILABLE';
}
