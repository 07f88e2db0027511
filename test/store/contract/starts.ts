import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isWarmpoolError } from '../../../src/domain/errors.ts';
import { fence } from '../../support/store-scenario.ts';
import { type Contract, openScenario } from '../contract.ts';

export function startContract(contract: Contract): void {
  const { name, skip } = contract;

  test(`${name}: D17 starts in flight count as ready: no more slots than the target`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    await scenario.declare({ minReady: 3 });
    await scenario.ready();
    await scenario.starting();
    await scenario.starting();
    assert.deepEqual(await scenario.reserve(), { kind: 'refused', why: 'target_met' });
    await scenario.claim();
    assert.equal((await scenario.reserve()).kind, 'reserved');
    assert.deepEqual(await scenario.reserve(), { kind: 'refused', why: 'target_met' });
  });

  test(`${name}: D17 starts in flight, the hard maximum and the spec version bound slots`, {
    skip,
  }, async () => {
    await using scenario = await openScenario(contract);
    await scenario.declare({ startsInFlightMax: 2, maxTotal: 3 });
    await scenario.starting();
    const second = await scenario.starting();
    assert.deepEqual(await scenario.reserve(), { kind: 'refused', why: 'starts_in_flight' });
    await scenario.store.reportReady(fence(second));
    await scenario.claim();
    await scenario.coldStart({ warm: false });
    assert.deepEqual(await scenario.reserve(), { kind: 'refused', why: 'max_total' });
    assert.deepEqual(await scenario.reserve({ specVersion: 'v0' }), { kind: 'refused', why: 'spec_changed' });
  });

  test(`${name}: D17 cold starts are no warm boots in flight, but count as live`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    await scenario.declare({ startsInFlightMax: 1 });
    await scenario.coldStart();
    await scenario.starting();
    await scenario.coldStart({ warm: false });
    const pool = await scenario.store.readPool('base');
    assert.deepEqual([pool?.starting, pool?.live], [1, 3]);
  });

  test(`${name}: D1 the same id again is the same start, and no second slot`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    await scenario.declare();
    const record = await scenario.starting();
    assert.deepEqual(await scenario.reserve({ id: record.id }), { kind: 'reserved', record });
    assert.equal((await scenario.store.readPool('base'))?.starting, 1);
    assert.equal((await scenario.store.readPool('base'))?.counters.startsWarm, 1);
    await assert.rejects(
      scenario.reserve({ id: record.id, nodeId: 'node-b' }),
      (error) => isWarmpoolError(error) && error.code === 'INTERNAL',
    );
  });

  test(`${name}: D14 the record is there before the object, in the inventory of its node`, {
    skip,
  }, async () => {
    await using scenario = await openScenario(contract);
    await scenario.declare();
    const record = await scenario.starting();
    assert.equal(record.state, 'starting');
    assert.equal(record.launch, 'warm');
    assert.equal(record.incarnation, 1);
    assert.equal(record.claim, undefined);
    assert.equal(record.lease, undefined);
    assert.deepEqual(await scenario.store.get(record.id, null), record);
    assert.deepEqual(await scenario.store.inventory('node-a'), [record]);
    assert.deepEqual(await scenario.store.inventory('node-b'), []);
  });

  test(`${name}: a boot that came up is ready, once, however often it is said`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    await scenario.declare();
    const starting = await scenario.starting();
    const first = await scenario.store.reportReady(fence(starting));
    assert.equal(first.kind, 'done');
    assert.equal(first.record.state, 'ready');
    assert.ok((first.record.readyAtMs ?? 0) >= first.record.createdAtMs);
    assert.deepEqual(await scenario.store.reportReady(fence(starting)), first);
    const pool = await scenario.store.readPool('base');
    assert.deepEqual([pool?.ready, pool?.starting, pool?.live], [1, 0, 1]);
  });

  test(`${name}: D4 only its own node, at its present incarnation, speaks for a sandbox`, {
    skip,
  }, async () => {
    await using scenario = await openScenario(contract);
    const { store } = scenario;
    await scenario.declare();
    const record = await scenario.claimed();
    const foreign = { ...fence(record), nodeId: 'node-b' };
    const stale = { ...fence(record), incarnation: record.incarnation - 1 };
    const unknown = { ...fence(record), id: scenario.newId() };
    for (const report of [
      (target: typeof foreign) => store.reportReady(target),
      (target: typeof foreign) => store.reportFailed(target, 'link_lost', 'gone'),
      (target: typeof foreign) => store.finishStop(target),
    ]) {
      assert.deepEqual(await report(foreign), { kind: 'refused', why: 'other_node' });
      assert.deepEqual(await report(stale), { kind: 'refused', why: 'stale_incarnation', state: 'running' });
      assert.deepEqual(await report(unknown), { kind: 'refused', why: 'not_found' });
      assert.deepEqual(await report({ ...unknown, id: 'no-id' }), { kind: 'refused', why: 'not_found' });
    }
    assert.equal((await store.get(record.id, 'alice'))?.state, 'running');
  });

  test(`${name}: a boot that failed gives its slot back and keeps its record`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    await scenario.declare({ minReady: 1 });
    const starting = await scenario.starting();
    const answer = await scenario.store.reportFailed(fence(starting), 'boot_failed', 'the warmup said no');
    assert.equal(answer.kind, 'done');
    assert.equal(answer.record.state, 'failed');
    assert.equal(answer.record.endReason, 'boot_failed');
    assert.equal(answer.record.failure, 'the warmup said no');
    assert.deepEqual(await scenario.store.reportFailed(fence(starting), 'link_lost', 'again'), answer);
    const pool = await scenario.store.readPool('base');
    assert.deepEqual([pool?.starting, pool?.live, pool?.counters.startsFailed], [0, 0, 1]);
    assert.equal((await scenario.store.inventory('node-a')).length, 1);
    assert.equal((await scenario.reserve()).kind, 'reserved');
    assert.deepEqual(await scenario.store.reportReady(fence(starting)), {
      kind: 'refused',
      why: 'wrong_state',
      state: 'failed',
    });
  });

  test(`${name}: a ready one whose link drops leaves the pool at once`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    await scenario.declare();
    const ready = await scenario.ready();
    await scenario.store.reportFailed(fence(ready), 'link_lost', 'the guest link was closed');
    assert.equal((await scenario.store.readPool('base'))?.ready, 0);
    assert.deepEqual(await scenario.claim(), { kind: 'empty', why: 'no_ready' });
  });
}
