import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect, type WarmpoolClient } from '../../src/client/grpc-client.ts';
import { RedisServer } from '../support/redis-server.ts';
import { requirement } from '../support/requirements.ts';
import { ServiceFolder, TestService } from '../support/service.ts';
import { untilNoTraces } from '../support/traces.ts';
import { until } from '../support/until.ts';
import { smallPool } from './main-job.ts';

const noBubblewrap = (await requirement('bubblewrap')).skip;
const noRedis = (await requirement('redis')).skip;

/** What the store has of a node that could still be handed out or used. */
async function liveOn(client: WarmpoolClient, nodeId: string): Promise<number> {
  const { left } = await client.node(nodeId);
  return (left?.ready ?? 0) + (left?.starting ?? 0) + (left?.running ?? 0);
}

test('a node killed with -9', { skip: noBubblewrap || noRedis }, async (t) => {
  await using redis = await RedisServer.start();
  const env = { WARMPOOL_RUNTIME: 'bubblewrap', REDIS_URL: redis.url, WARMPOOL_NODE_TIMEOUT: '5s' };
  const pool = { ...smallPool(), size: { minReady: 4, maxReady: 4, maxTotal: 40 } };
  using folderA = new ServiceFolder([pool]);
  using folderB = new ServiceFolder([pool]);
  await using b = await TestService.start({ pools: [], folder: folderB, env });
  using client = connect(b.grpc);
  let used = '';

  await t.test('has the pool’s ready ones, and one that somebody uses', async () => {
    await using a = await TestService.start({ pools: [], folder: folderA, env });
    using clientA = connect(a.grpc);
    await client.drainNode(folderB.nodeId, 0);
    await until(async () => (await liveOn(client, folderA.nodeId)) === 4, 'node A to fill the pool');
    used = (await client.create('base')).id;
    assert.equal((await clientA.exec({ sandboxId: used, argv: ['true'] })).exitCode, 0);
    await until(async () => (await liveOn(client, folderA.nodeId)) === 5, 'node A to replace what was taken');
    await client.uncordonNode(folderB.nodeId);
    await a.kill('SIGKILL');
  });

  await t.test('is lost: what was on it leaves the pool, and its owner is told', async () => {
    await until(async () => (await client.node(folderA.nodeId)).state === 'lost', 'the loss to be noticed');
    await until(async () => (await liveOn(client, folderA.nodeId)) === 0, 'what was on it to fail');
    const record = await client.get(used);
    assert.deepEqual([record.state, record.endReason], ['failed', 'node_lost']);
    assert.match(record.failure, /was lost: it was not heard of for 5 s/);
    assert.match(await (await fetch(`${b.http}/metrics`)).text(), /^warmpool_nodes_lost_total [1-9]/m);
  });

  await t.test('is not missed: creates go on at the other one', async () => {
    for (let count = 0; count < 6; count += 1) {
      const { id, nodeId } = await client.create('base');
      assert.equal(nodeId, folderB.nodeId);
      await client.delete(id);
    }
  });

  await t.test('removes what is left of it when it is back, and leaves nothing', async () => {
    await using again = await TestService.start({ pools: [], folder: folderA, env });
    await until(async () => (await client.node(folderA.nodeId)).state === 'active', 'the node to be back');
    const isEmpty = async () => ((await client.node(folderA.nodeId)).left?.stopping ?? 0) === 0;
    await until(isEmpty, 'what was left of it to be removed');
    assert.equal((await client.get(used)).state, 'failed');
    await again[Symbol.asyncDispose]();
    await b[Symbol.asyncDispose]();
    for (const folder of [folderA, folderB]) await untilNoTraces(folder);
  });
});
