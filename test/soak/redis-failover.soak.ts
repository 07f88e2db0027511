import assert from 'node:assert/strict';
import { test } from 'node:test';
import { shardOfPool, shardTag } from '../../src/domain/ids.ts';
import {
  assertKept,
  Claimer,
  DurableStore,
  filled,
  poolsOnTwoMasters,
} from '../support/claims-at-failover.ts';
import { RedisCluster } from '../support/redis-cluster.ts';
import { RedisSentinel } from '../support/redis-sentinel.ts';
import { requirement } from '../support/requirements.ts';
import { until } from '../support/until.ts';

const { skip } = await requirement('redis');

test('R3 a slot moves to another master while claims run', { skip }, async () => {
  await using cluster = await RedisCluster.start();
  await using store = await DurableStore.open(cluster.url);
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
  await assertKept(store, pool, winners);
});

test('R3 the sentinels replace a master that has died while claims run', { skip }, async () => {
  await using stand = await RedisSentinel.start({ downAfterMs: 1_000 });
  await using store = await DurableStore.open(stand.url);
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
  await assertKept(store, 'base', winners);
});
