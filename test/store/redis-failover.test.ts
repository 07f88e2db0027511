import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as elapse } from 'node:timers/promises';
import { SystemClock } from '../../src/domain/clock.ts';
import { isWarmpoolError } from '../../src/domain/errors.ts';
import { shardOfPool, shardTag } from '../../src/domain/ids.ts';
import type { ClaimAnswer, ClaimRequest, StoreEvent } from '../../src/store/pool-store.ts';
import { RedisPoolStore } from '../../src/store/redis/redis-pool-store.ts';
import { RedisCluster } from '../support/redis-cluster.ts';
import { RedisSentinel } from '../support/redis-sentinel.ts';
import { requirement } from '../support/requirements.ts';
import { StoreScenario } from '../support/store-scenario.ts';
import { until } from '../support/until.ts';

const { skip } = await requirement('redis');

/** Claims wait for the replica: without that a master may die between its answer and what it sends to its replica. */
async function openStore(url: string): Promise<RedisPoolStore> {
  const observer = { claimNotReplicated: () => {} };
  const store = new RedisPoolStore(
    { clock: new SystemClock(), warn: () => {}, observer },
    { url, durability: 'wait' },
  );
  await store.open();
  return store;
}

const unavailable = (error: unknown) => isWarmpoolError(error) && error.code === 'STORE_UNAVAILABLE';

/** What a caller does whose answer was lost: it asks the same again until it is told. Any other failure is one. */
async function claimUntilAnswered(store: RedisPoolStore, request: ClaimRequest): Promise<ClaimAnswer> {
  for (;;) {
    try {
      return await store.claim(request);
    } catch (error) {
      if (!unavailable(error)) throw error;
      await elapse(20);
    }
  }
}

/** Claims one after the other until it is told to stop, or all that was ready is gone. */
class Claimer {
  readonly winners = new Map<string, ClaimRequest>();
  readonly #stop = new AbortController();
  readonly #claiming: Promise<void>;

  constructor(store: RedisPoolStore, { scenario, ready }: Filled) {
    this.#claiming = this.#claim(store, scenario, ready);
  }

  async #claim(store: RedisPoolStore, scenario: StoreScenario, ready: number): Promise<void> {
    while (!this.#stop.signal.aborted && this.winners.size < ready) {
      const request = scenario.request();
      const answer = await claimUntilAnswered(store, request);
      assert.equal(answer.kind, 'claimed');
      assert.equal(this.winners.has(answer.record.id), false, 'one sandbox was given to two requests');
      this.winners.set(answer.record.id, request);
      // A pace at which what is ready lasts for as long as the failover takes.
      await elapse(10);
    }
  }

  /** Settles when this many more than now were given out. */
  async more(count: number): Promise<void> {
    const before = this.winners.size;
    await Promise.race([until(() => this.winners.size >= before + count, `${count} claims`), this.#claiming]);
  }

  async stop(): Promise<ReadonlyMap<string, ClaimRequest>> {
    this.#stop.abort();
    await this.#claiming;
    return this.winners;
  }
}

interface Filled {
  readonly scenario: StoreScenario;
  readonly ready: number;
}

async function filled(store: RedisPoolStore, pool: string, count: number): Promise<Filled> {
  const scenario = new StoreScenario(store, pool);
  await scenario.declare({ minReady: count, maxReady: count, maxTotal: 2 * count, startsInFlightMax: count });
  await Promise.all(Array.from({ length: count }, () => scenario.ready()));
  return { scenario, ready: count };
}

async function assertRepeats(
  store: RedisPoolStore,
  winners: ReadonlyMap<string, ClaimRequest>,
): Promise<void> {
  for (const [id, request] of winners) {
    const answer = await store.claim(request);
    assert.equal(answer.kind === 'claimed' && answer.repeated && answer.record.id, id);
  }
}

test('R3 a master of the cluster dies while claims run: none is given out twice, each repeat is right, other shards go on', {
  skip,
}, async () => {
  await using cluster = await RedisCluster.start({ replicas: 1, nodeTimeoutMs: 2_000 });
  await using store = await openStore(cluster.url);
  // Two pools on two masters.
  const [hit = '', other = ''] = await poolsOnTwoMasters(cluster);
  const [hitPool, otherPool] = [await filled(store, hit, 400), await filled(store, other, 60)];
  const hitShard = shardOfPool(hit);
  const before = store.health(hitShard);
  const otherBefore = store.health(shardOfPool(other));
  const heard: StoreEvent[] = [];
  const stop = new AbortController();
  const batches = await store.follow(null, stop.signal);
  const following = (async () => {
    for await (const batch of batches) heard.push(...batch);
  })();
  const victim = await cluster.masterOf(`wp:${shardTag(hitShard)}:`);
  await cluster.settled();

  const hitClaimer = new Claimer(store, hitPool);
  await hitClaimer.more(30);
  await victim.server.kill();
  await until(() => !store.health(hitShard).healthy, 'the loss is noticed');
  // The others' answers do not wait for the dead one.
  const otherClaimer = new Claimer(store, otherPool);
  await otherClaimer.more(30);
  const otherWinners = await otherClaimer.stop();
  await hitClaimer.more(30);
  await until(() => store.health().healthy, 'all shards are known again');
  assert.notEqual(store.health(hitShard).runId, before.runId);
  assert.deepEqual(store.health(shardOfPool(other)).runId, otherBefore.runId);

  const hitWinners = await hitClaimer.stop();
  await assertRepeats(store, hitWinners);
  await assertRepeats(store, otherWinners);
  const snapshot = await store.readPool(hit);
  assert.equal(snapshot?.counters.hits, hitWinners.size);
  assert.deepEqual(await store.healIndexes(), { readded: 0, dropped: 0 });
  const claimed = () => new Set(heard.filter(({ to }) => to === 'running').map(({ id }) => id));
  await until(
    () => [...hitWinners.keys(), ...otherWinners.keys()].every((id) => claimed().has(id)),
    'every claim is heard of',
  );
  stop.abort();
  await following;
});

test('R3 a slot moves to another master while claims run', { skip }, async () => {
  await using cluster = await RedisCluster.start();
  await using store = await openStore(cluster.url);
  const [pool = ''] = await poolsOnTwoMasters(cluster);
  const scenario = await filled(store, pool, 600);
  const key = `wp:${shardTag(shardOfPool(pool))}:`;
  const from = await cluster.masterOf(key);
  const to = cluster.nodes.find((node) => node !== from);
  assert.ok(to);
  const { runId } = store.health(shardOfPool(pool));
  const claimer = new Claimer(store, scenario);
  await claimer.more(20);
  await cluster.moveSlot(key, to);
  await claimer.more(20);
  const winners = await claimer.stop();
  await until(() => store.health().healthy, 'the new owner is known');
  assert.notEqual(store.health(shardOfPool(pool)).runId, runId);
  await assertRepeats(store, winners);
  assert.equal((await store.readPool(pool))?.counters.hits, winners.size);
});

test('R3 the sentinels replace a master that has died while claims run', { skip }, async () => {
  await using stand = await RedisSentinel.start({ downAfterMs: 1_000 });
  await using store = await openStore(stand.url);
  const scenario = await filled(store, 'base', 300);
  const { runId } = store.health();
  const { server } = await stand.master();
  await stand.settled();
  const claimer = new Claimer(store, scenario);
  await claimer.more(30);
  await server.kill();
  await until(() => !store.health().healthy, 'the loss is noticed');
  await claimer.more(30);
  await until(() => store.health().healthy, 'the new master is known');
  assert.notEqual(store.health().runId, runId);
  const winners = await claimer.stop();
  await assertRepeats(store, winners);
  assert.equal((await store.readPool('base'))?.counters.hits, winners.size);
});

async function poolsOnTwoMasters(cluster: RedisCluster): Promise<readonly string[]> {
  const pools = new Map<string, string>();
  for (let number = 0; pools.size < 2; number += 1) {
    const pool = `pool-${number}`;
    const { id } = await cluster.masterOf(`wp:${shardTag(shardOfPool(pool))}:`);
    if (!pools.has(id)) pools.set(id, pool);
  }
  return [...pools.values()];
}
