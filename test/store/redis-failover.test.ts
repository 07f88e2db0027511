import assert from 'node:assert/strict';
import { test } from 'node:test';
import { shardOfPool, shardTag } from '../../src/domain/ids.ts';
import type { StoreEvent } from '../../src/store/pool-store.ts';
import {
  assertKept,
  Claimer,
  DurableStore,
  filled,
  poolsOnTwoMasters,
} from '../support/claims-at-failover.ts';
import { RedisCluster } from '../support/redis-cluster.ts';
import { requirement } from '../support/requirements.ts';
import { until } from '../support/until.ts';

const { skip } = await requirement('redis');

test('R3 a master of the cluster dies while claims run: none is given out twice, each repeat is right, other shards go on', {
  skip,
}, async () => {
  await using cluster = await RedisCluster.start({ replicas: 1, nodeTimeoutMs: 2_000 });
  await using store = await DurableStore.open(cluster.url);
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
  await assertKept(store, hit, hitWinners);
  await assertKept(store, other, otherWinners);
  assert.deepEqual(await store.healIndexes(), { readded: 0, dropped: 0 });
  const claimed = () => new Set(heard.filter(({ to }) => to === 'running').map(({ id }) => id));
  await until(
    () => [...hitWinners.keys(), ...otherWinners.keys()].every((id) => claimed().has(id)),
    'every claim is heard of',
  );
  stop.abort();
  await following;
});
