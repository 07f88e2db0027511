import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NodeStatus, PoolStore } from '../../../src/store/pool-store.ts';
import { until } from '../../support/until.ts';
import { type Contract, openScenario } from '../contract.ts';

function statusOf(nodeId: string): NodeStatus {
  return {
    nodeId,
    runtimes: ['docker'],
    pools: ['base'],
    draining: false,
    obeys: null,
    sandboxes: 3,
    capacity: 10,
  };
}

async function only(store: PoolStore) {
  const [node, ...others] = await store.nodes();
  assert.ok(node);
  assert.deepEqual(others, []);
  return node;
}

/** Waits until the store's clock has moved on from the node's last heartbeat. */
async function silentFor(store: PoolStore, silentMs: number): Promise<void> {
  await until(async () => (await only(store)).heartbeatAgeMs >= silentMs, 'the heartbeat to age');
}

export function nodeContract(contract: Contract): void {
  const { name, skip } = contract;

  test(`${name}: what the operator orders of a node stays whatever the node says or does`, {
    skip,
  }, async () => {
    await using scenario = await openScenario(contract);
    const { store } = scenario;
    assert.equal(await store.heartbeat(statusOf('node-a')), null);
    assert.equal((await only(store)).order, null);
    assert.equal(await store.orderNode('node-a', { kind: 'cordon' }), true);
    const { kind, forMs = -1 } = (await store.heartbeat(statusOf('node-a'))) ?? {};
    assert.equal(kind, 'cordon');
    assert.ok(forMs >= 0 && forMs < 10_000, `${forMs}`);
    assert.equal((await only(store)).order?.kind, 'cordon');
    // Its process ends, and begins again.
    await store.removeNode('node-a');
    assert.deepEqual(await store.nodes(), []);
    assert.deepEqual([...(await store.nodeOrders()).keys()], ['node-a']);
    assert.equal((await store.heartbeat(statusOf('node-a')))?.kind, 'cordon');
    assert.equal(await store.orderNode('node-a', null), true);
    assert.equal(await store.heartbeat(statusOf('node-a')), null);
    assert.deepEqual([...(await store.nodeOrders()).keys()], []);
  });

  test(`${name}: a node that nobody ever heard of takes no order`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    const { store } = scenario;
    assert.equal(await store.orderNode('node-a', { kind: 'cordon' }), false);
    assert.equal(await store.orderNode('node-a', null), false);
    assert.deepEqual(await store.nodeOrders(), new Map());
  });

  test(`${name}: a drain counts its time down by the store's clock, and a later order replaces it`, {
    skip,
  }, async () => {
    await using scenario = await openScenario(contract);
    const { store } = scenario;
    await store.heartbeat(statusOf('node-a'));
    await store.orderNode('node-a', { kind: 'drain', timeoutMs: 60_000 });
    const drained = await store.heartbeat(statusOf('node-a'));
    assert.ok(drained?.kind === 'drain' && drained.endsInMs !== null);
    assert.ok(drained.endsInMs > 30_000 && drained.endsInMs <= 60_000, `${drained.endsInMs}`);
    await store.orderNode('node-a', { kind: 'drain', timeoutMs: 0 });
    const over = (await store.nodeOrders()).get('node-a');
    assert.ok(over?.kind === 'drain' && over.endsInMs === 0);
    await store.orderNode('node-a', { kind: 'drain', timeoutMs: null });
    const endless = (await only(store)).order;
    assert.ok(endless?.kind === 'drain' && endless.endsInMs === null);
    await store.orderNode('node-a', { kind: 'cordon' });
    assert.equal((await only(store)).order?.kind, 'cordon');
  });

  test(`${name}: D4 a node is lost only by its silence as it is in that step, and until it is heard again`, {
    skip,
  }, async () => {
    await using scenario = await openScenario(contract);
    const { store } = scenario;
    assert.deepEqual(await store.declareLost('node-a', 0), { kind: 'not_found' });
    await store.heartbeat(statusOf('node-a'));
    assert.deepEqual(await store.declareLost('node-a', 60_000), { kind: 'alive' });
    assert.equal((await only(store)).lostForMs, null);
    await silentFor(store, 5);
    // Any number of allocators, one of which is the first.
    const answers = await Promise.all(Array.from({ length: 8 }, () => store.declareLost('node-a', 5)));
    assert.equal(answers.filter((answer) => answer.kind === 'lost' && answer.first).length, 1);
    assert.ok(answers.every((answer) => answer.kind === 'lost'));
    const { lostForMs, heartbeatAtMs } = await only(store);
    assert.ok(lostForMs !== null && lostForMs < 10_000, `${lostForMs}`);
    await store.heartbeat(statusOf('node-a'));
    const back = await only(store);
    assert.equal(back.lostForMs, null);
    assert.ok(back.heartbeatAtMs > heartbeatAtMs);
  });

  test(`${name}: I11 a node that was heard of meanwhile is not forgotten`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    const { store } = scenario;
    await store.heartbeat(statusOf('node-a'));
    await store.removeNode('node-a', 60_000);
    assert.equal((await store.nodes()).length, 1);
    await silentFor(store, 5);
    await store.removeNode('node-a', 5);
    await store.removeNode('node-a', 5);
    assert.deepEqual(await store.nodes(), []);
  });
}
