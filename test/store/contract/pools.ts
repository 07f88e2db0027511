import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Demand } from '../../../src/domain/sizing.ts';
import { fence, roomySize } from '../../support/store-scenario.ts';
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
      waiting: 0,
      demand: null,
      counters: {
        hits: 0,
        missesEmpty: 0,
        missesUncacheable: 0,
        missesOverLimit: 0,
        startsWarm: 0,
        startsCold: 0,
        startsFailed: 0,
        boots: 0,
        bootMs: 0,
      },
      readAtMs: snapshot.readAtMs,
    });
    const read = await scenario.store.readPool('base');
    assert.deepEqual(read, { ...snapshot, readAtMs: read?.readAtMs });
    assert.ok((read?.readAtMs ?? 0) >= snapshot.readAtMs);
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
    const counters = (await scenario.store.readPool('base'))?.counters;
    assert.deepEqual(counters, {
      hits: 1,
      missesEmpty: 1,
      missesUncacheable: 2,
      missesOverLimit: 0,
      startsWarm: 1,
      startsCold: 1,
      startsFailed: 1,
      boots: 1,
      bootMs: counters?.bootMs,
    });
  });

  test(`${name}: a claim that waits is counted once, as the miss it began with`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    await scenario.declare();
    const requestId = 'patient';
    assert.equal((await scenario.claim({ requestId })).kind, 'empty');
    assert.equal((await scenario.claim({ requestId, waiting: true })).kind, 'empty');
    await scenario.ready();
    assert.equal((await scenario.claim({ requestId, waiting: true })).kind, 'claimed');
    const counters = (await scenario.store.readPool('base'))?.counters;
    assert.deepEqual([counters?.hits, counters?.missesEmpty, counters?.missesUncacheable], [0, 1, 0]);
  });

  test(`${name}: a boot that came up counts with its time, once, warm or cold`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    await scenario.declare();
    const starting = await scenario.starting();
    const cold = await scenario.coldStart({ warm: false });
    for (const record of [starting, starting, cold]) await scenario.store.reportReady(fence(record));
    const read = await scenario.store.readPool('base');
    assert.equal(read?.counters.boots, 2);
    const mostMs = 2 * ((read?.readAtMs ?? 0) - starting.createdAtMs);
    assert.ok((read?.counters.bootMs ?? -1) >= 0 && (read?.counters.bootMs ?? mostMs + 1) <= mostMs);
  });

  test(`${name}: what a pool’s load asks for moves its target within its bounds, and scaling does at once`, {
    skip,
  }, async () => {
    await using scenario = await openScenario(contract);
    const { store } = scenario;
    await scenario.declare({ minReady: 2, maxReady: 9 });
    const noted = await store.noteDemand('base', null, demand(1_000, 5));
    assert.deepEqual([noted?.target, noted?.demand], [5, demand(1_000, 5)]);
    assert.deepEqual((await store.readPool('base'))?.demand, demand(1_000, 5));
    assert.equal((await store.noteDemand('base', demand(1_000, 5), demand(2_000, 50)))?.target, 9);
    assert.equal((await store.scalePool('base', { maxReady: 20 }))?.target, 20);
    assert.equal((await store.noteDemand('base', demand(2_000, 50), demand(3_000, 0)))?.target, 2);
    assert.equal((await store.scalePool('base', { minReady: 6 }))?.target, 6);
    // Declaring again, as every process does that starts, forgets nothing of it.
    const again = await scenario.declare({ minReady: 2, maxReady: 9 });
    assert.deepEqual(again.demand, demand(3_000, 0));
    assert.equal(await store.noteDemand('unknown', null, demand(1_000, 5)), null);
  });

  test(`${name}: of looks at one pool that follow the same one, one is written and all are told it`, {
    skip,
  }, async () => {
    await using scenario = await openScenario(contract);
    const { store } = scenario;
    await scenario.declare({ minReady: 0 });
    const looks = [3, 4, 5, 6].map((wanted) => demand(1_000 + wanted, wanted));
    const answers = await Promise.all(looks.map((look) => store.noteDemand('base', null, look)));
    assert.equal(new Set(answers.map((answer) => answer?.demand?.wanted)).size, 1);
    const [winner] = looks.filter((look) => look.wanted === answers[0]?.target);
    const stale = await store.noteDemand('base', demand(999, 1), demand(9_000, 1));
    assert.deepEqual(stale?.demand, winner);
  });

  test(`${name}: D17 a slot is granted up to what the load asks for`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    await scenario.declare({ minReady: 1 });
    await scenario.store.noteDemand('base', null, demand(1_000, 3));
    for (let boot = 0; boot < 3; boot += 1) await scenario.starting();
    assert.deepEqual(await scenario.reserve(), { kind: 'refused', why: 'target_met' });
  });

  test(`${name}: D4 a surplus is ended once, whoever sees it, and only what is ready and unclaimed`, {
    skip,
  }, async () => {
    await using scenario = await openScenario(contract);
    const { store } = scenario;
    await scenario.declare({ minReady: 5 });
    const ready = await Promise.all(Array.from({ length: 5 }, () => scenario.ready()));
    const retired = () =>
      Promise.all(ready.map(({ id, incarnation }) => store.retireSurplus({ id, incarnation })));
    assert.deepEqual(
      (await retired()).map(({ kind }) => kind),
      ready.map(() => 'no_surplus'),
    );
    await store.scalePool('base', { minReady: 3 });
    const claimed = await scenario.claim();
    assert.equal(claimed.kind, 'claimed');
    const kinds = (await retired()).map(({ kind }) => kind);
    assert.deepEqual(kinds.sort(), ['done', 'no_surplus', 'no_surplus', 'no_surplus', 'refused']);
    assert.deepEqual((await retired()).map(({ kind }) => kind).sort(), kinds);
    assert.equal((await store.readPool('base'))?.ready, 3);
    const stopped = (await store.inventory('node-a')).filter(({ state }) => state === 'stopping');
    assert.deepEqual(
      stopped.map(({ endReason }) => endReason),
      ['scaled_down'],
    );
    const unknown = { id: scenario.newId(), incarnation: 1 };
    assert.deepEqual(await store.retireSurplus(unknown), { kind: 'refused', why: 'not_found' });
  });

  test(`${name}: a node is known by its last heartbeat until it is removed`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    const { store } = scenario;
    const status = {
      runtimes: ['docker'],
      pools: ['base'],
      draining: false,
      obeys: null,
      sandboxes: 3,
      capacity: 10,
    };
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

function demand(lookedAtMs: number, wanted: number): Demand {
  return {
    load: {
      sampledAtMs: lookedAtMs,
      counted: { claims: 12, boots: 3, bootMs: 900 },
      claimsPerSecond: { stable: 1.25, panic: 0.1 + 0.2 },
      bootMs: { stable: 300, panic: 1e-9 },
      beganAtMs: 500,
      claimedAtMs: null,
    },
    wanted,
    wantedAtMs: lookedAtMs,
  };
}
