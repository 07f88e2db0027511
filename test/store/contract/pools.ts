import assert from 'node:assert/strict';
import { test } from 'node:test';
import { roomySize } from '../../support/store-scenario.ts';
import { type Contract, openScenario } from '../contract.ts';

export function poolContract(contract: Contract): void {
  const { name, skip } = contract;

  test(`${name}: a declared pool is empty and wants its minimum`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    const snapshot = await scenario.declare({ minReady: 3, maxReady: 5 });
    assert.deepEqual(snapshot, {
      name: 'base',
      specVersion: 'v1',
      size: { ...roomySize, minReady: 3, maxReady: 5 },
      target: 3,
      ready: 0,
      starting: 0,
      live: 0,
      counters: {
        hits: 0,
        missesEmpty: 0,
        missesUncacheable: 0,
        startsWarm: 0,
        startsCold: 0,
        startsFailed: 0,
      },
    });
    assert.deepEqual(await scenario.store.readPool('base'), snapshot);
  });

  test(`${name}: an unknown pool reads as null, scales to null and has nothing to claim`, {
    skip,
  }, async () => {
    await using scenario = await openScenario(contract);
    assert.equal(await scenario.store.readPool('base'), null);
    assert.equal(await scenario.store.scalePool('base', { minReady: 1 }), null);
    assert.deepEqual(await scenario.claim(), { kind: 'no_pool' });
    assert.deepEqual(await scenario.reserve(), { kind: 'refused', why: 'no_pool' });
  });

  test(`${name}: a name that is no pool's is unknown, even when it spells an index`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    await scenario.declare();
    for (const pool of ['base:ready', 'base:live', '', 'Base', '../base', '{s00}']) {
      assert.equal(await scenario.store.readPool(pool), null);
      assert.deepEqual(await scenario.claim({ pool }), { kind: 'no_pool' });
    }
  });

  test(`${name}: scaling holds over a restart, and ends when the declared size changes`, {
    skip,
  }, async () => {
    await using scenario = await openScenario(contract);
    await scenario.declare({ minReady: 3 });
    const scaled = await scenario.store.scalePool('base', { minReady: 7 });
    assert.equal(scaled?.size.minReady, 7);
    assert.equal((await scenario.store.scalePool('base', { maxTotal: 50 }))?.size.minReady, 7);
    const declaredAgain = await scenario.declare({ minReady: 3 }, 'v2');
    assert.equal(declaredAgain.size.minReady, 7);
    assert.equal(declaredAgain.size.maxTotal, 50);
    assert.equal(declaredAgain.specVersion, 'v2');
    const changed = await scenario.declare({ minReady: 4 });
    assert.deepEqual(changed.size, { ...roomySize, minReady: 4 });
  });

  test(`${name}: the target is at most maxReady`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    assert.equal((await scenario.declare({ minReady: 9, maxReady: 4 })).target, 4);
    assert.equal((await scenario.store.scalePool('base', { maxReady: 2 }))?.target, 2);
  });

  test(`${name}: every hit and miss is counted by its cause`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    await scenario.declare();
    await scenario.claimed();
    await scenario.claim();
    await scenario.claim({ warm: false });
    const cold = await scenario.coldStart({ warm: false });
    await scenario.store.reportFailed(cold, 'boot_failed', 'it did not come up');
    assert.deepEqual((await scenario.store.readPool('base'))?.counters, {
      hits: 1,
      missesEmpty: 1,
      missesUncacheable: 2,
      startsWarm: 1,
      startsCold: 1,
      startsFailed: 1,
    });
  });

  test(`${name}: a node is known by its last heartbeat until it is removed`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    const { store } = scenario;
    const status = { runtimes: ['docker'], draining: false, sandboxes: 3, capacity: 10 };
    await store.heartbeat({ nodeId: 'node-b', ...status });
    await store.heartbeat({ nodeId: 'node-a', ...status });
    await store.heartbeat({ nodeId: 'node-b', ...status, draining: true });
    const nodes = await store.nodes();
    assert.deepEqual(
      nodes.map(({ nodeId, draining, capacity }) => ({ nodeId, draining, capacity })),
      [
        { nodeId: 'node-a', draining: false, capacity: 10 },
        { nodeId: 'node-b', draining: true, capacity: 10 },
      ],
    );
    for (const { heartbeatAgeMs } of nodes) assert.ok(heartbeatAgeMs >= 0 && heartbeatAgeMs < 10_000);
    await store.removeNode('node-a');
    assert.deepEqual(
      (await store.nodes()).map((node) => node.nodeId),
      ['node-b'],
    );
  });

  test(`${name}: an open store is healthy and knows who it is`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    assert.equal(scenario.store.health().healthy, true);
    assert.notEqual(scenario.store.health().runId, '');
    assert.notEqual(scenario.store.storeId, '');
  });
}
