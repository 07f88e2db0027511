import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fence } from '../../support/store-scenario.ts';
import { type Contract, openScenario } from '../contract.ts';

export function endingContract(contract: Contract): void {
  const { name, skip } = contract;

  test(`${name}: D14 a stop begins, the object goes, and the record goes last`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    const { store } = scenario;
    await scenario.declare();
    const record = await scenario.claimed();
    assert.deepEqual(await store.finishStop(fence(record)), {
      kind: 'refused',
      why: 'wrong_state',
      state: 'running',
    });
    const stopping = await store.beginStop({ id: record.id, tenant: 'alice' }, 'deleted');
    assert.equal(stopping.kind, 'done');
    assert.deepEqual([stopping.record.state, stopping.record.endReason], ['stopping', 'deleted']);
    assert.equal((await store.inventory('node-a')).length, 1);
    assert.equal((await store.readPool('base'))?.live, 1);
    assert.equal((await store.list({ tenant: 'alice', pageSize: 10 })).records.length, 1);

    const stopped = await store.finishStop(fence(record));
    assert.equal(stopped.kind === 'done' && stopped.record.state, 'stopped');
    assert.deepEqual(await store.finishStop(fence(record)), stopped);
    assert.deepEqual(await store.inventory('node-a'), []);
    assert.deepEqual((await store.list({ tenant: 'alice', pageSize: 10 })).records, []);
    assert.equal((await store.readPool('base'))?.live, 0);
    const late = await store.get(record.id, 'alice');
    assert.deepEqual([late?.state, late?.endReason], ['stopped', 'deleted']);
  });

  test(`${name}: stopping what is on its way out changes nothing`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    const { store } = scenario;
    await scenario.declare();
    const record = await scenario.claimed();
    const target = { id: record.id, tenant: 'alice' };
    const first = await store.beginStop(target, 'deleted');
    assert.deepEqual(await store.beginStop(target, 'node_drained'), first);
    await store.finishStop(fence(record));
    const late = await store.beginStop(target, 'deleted');
    assert.equal(late.kind === 'done' && late.record.state, 'stopped');
  });

  test(`${name}: D4 a stop of an incarnation that is gone is refused`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    await scenario.declare();
    const ready = await scenario.ready();
    await scenario.claim();
    const retire = { id: ready.id, tenant: null, incarnation: ready.incarnation };
    assert.deepEqual(await scenario.store.beginStop(retire, 'idle_age'), {
      kind: 'refused',
      why: 'stale_incarnation',
      state: 'running',
    });
    assert.equal((await scenario.store.get(ready.id, 'alice'))?.state, 'running');
  });

  test(`${name}: the system may stop one that nobody owns; it leaves the pool at once`, {
    skip,
  }, async () => {
    await using scenario = await openScenario(contract);
    await scenario.declare();
    const ready = await scenario.ready();
    const starting = await scenario.starting();
    for (const { id } of [ready, starting]) {
      const answer = await scenario.store.beginStop({ id, tenant: null, incarnation: 1 }, 'scaled_down');
      assert.equal(answer.kind === 'done' && answer.record.state, 'stopping');
    }
    const pool = await scenario.store.readPool('base');
    assert.deepEqual([pool?.ready, pool?.starting, pool?.live], [0, 0, 2]);
    assert.deepEqual(await scenario.claim(), { kind: 'empty', why: 'no_ready' });
  });

  test(`${name}: a failed one is let go by finishStop, and stays failed`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    const { store } = scenario;
    await scenario.declare();
    const record = await scenario.claimed();
    await store.reportFailed(fence(record), 'object_lost', 'the container is gone');
    assert.equal((await store.readPool('base'))?.live, 0);
    assert.deepEqual(await store.due(10), []);
    assert.deepEqual(await store.beginStop({ id: record.id, tenant: 'alice' }, 'deleted'), {
      kind: 'refused',
      why: 'wrong_state',
      state: 'failed',
    });
    assert.equal((await store.inventory('node-a')).length, 1);
    assert.equal((await store.list({ tenant: 'alice', pageSize: 10 })).records[0]?.state, 'failed');
    const gone = await store.finishStop(fence(record));
    assert.equal(gone.kind === 'done' && gone.record.state, 'failed');
    assert.deepEqual(await store.inventory('node-a'), []);
    assert.deepEqual((await store.list({ tenant: 'alice', pageSize: 10 })).records, []);
    assert.equal((await store.get(record.id, 'alice'))?.failure, 'the container is gone');
    await store.beginStop({ id: record.id, tenant: null }, 'node_drained');
    assert.equal((await store.get(record.id, 'alice'))?.state, 'failed', 'kept for its owner');
    const deleted = await store.beginStop({ id: record.id, tenant: 'alice' }, 'deleted');
    assert.deepEqual(deleted, { kind: 'refused', why: 'wrong_state', state: 'failed' });
    assert.equal(await store.get(record.id, 'alice'), null, 'who deletes it does not want to know');
  });

  test(`${name}: one that stops may still fail, and says the later reason`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    await scenario.declare();
    const record = await scenario.claimed();
    await scenario.store.beginStop({ id: record.id, tenant: 'alice' }, 'deleted');
    const failed = await scenario.store.reportFailed(fence(record), 'object_lost', 'it was gone already');
    assert.equal(failed.kind === 'done' && failed.record.endReason, 'object_lost');
    assert.equal((await scenario.store.readPool('base'))?.live, 0);
  });
}
