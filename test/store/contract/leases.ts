import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fence, hourMs } from '../../support/store-scenario.ts';
import { type Contract, openScenario } from '../contract.ts';

export function leaseContract(contract: Contract): void {
  const { name, skip } = contract;

  test(`${name}: a keepalive moves the lease and never shortens it`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    await scenario.declare();
    const { id } = await scenario.claimed();
    const owner = { id, tenant: 'alice' };
    const extended = await scenario.store.renew(owner, 600_000, 'extend');
    assert.equal(extended.kind, 'done');
    assert.equal(extended.record.lease?.remainingMs, 600_000);
    const shorter = await scenario.store.renew(owner, 1_000, 'extend');
    assert.equal(
      shorter.kind === 'done' && shorter.record.lease?.expiresAtMs,
      extended.record.lease?.expiresAtMs,
    );
    const own = await scenario.store.renew(owner, null, 'extend');
    assert.equal(own.kind === 'done' && own.record.lease?.expiresAtMs, extended.record.lease?.expiresAtMs);
  });

  test(`${name}: setting the lease may shorten it, and leaves its own ttl as it was`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    await scenario.declare();
    const { id } = await scenario.claimed();
    const owner = { id, tenant: 'alice' };
    const set = await scenario.store.renew(owner, 5_000, 'set');
    assert.equal(set.kind, 'done');
    assert.equal(set.record.lease?.remainingMs, 5_000);
    assert.equal(set.record.lease?.ttlMs, 60_000);
    const own = await scenario.store.renew(owner, null, 'extend');
    assert.equal(own.kind === 'done' && own.record.lease?.remainingMs, 60_000);
  });

  test(`${name}: no lease passes the end of life, from the claim on`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    await scenario.declare();
    const { id, lease } = await scenario.claimed({ leaseTtlMs: 2 * hourMs });
    assert.equal(lease?.remainingMs, hourMs);
    for (const mode of ['extend', 'set'] as const) {
      const answer = await scenario.store.renew({ id, tenant: 'alice' }, 5 * hourMs, mode);
      assert.equal(answer.kind === 'done' && answer.record.lease?.expiresAtMs, lease?.endOfLifeMs);
    }
  });

  test(`${name}: D4 only the owner of a running sandbox moves its lease`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    const { store } = scenario;
    await scenario.declare();
    const unclaimed = await scenario.ready();
    const notFound = { kind: 'refused', why: 'not_found' };
    assert.deepEqual(await store.renew({ id: unclaimed.id, tenant: 'alice' }, null, 'extend'), notFound);
    const record = await scenario.claimed();
    assert.deepEqual(await store.renew({ id: record.id, tenant: 'bob' }, null, 'extend'), notFound);
    assert.deepEqual(await store.renew({ id: record.id, tenant: '' }, null, 'extend'), notFound);
    assert.deepEqual(await store.renew({ id: scenario.newId(), tenant: 'alice' }, null, 'extend'), notFound);
    const booting = await scenario.coldStart({ warm: false });
    const refused = await store.renew({ id: booting.id, tenant: 'alice' }, null, 'extend');
    assert.deepEqual(refused, { kind: 'refused', why: 'wrong_state', state: 'starting' });
    await store.beginStop({ id: record.id, tenant: 'alice' }, 'deleted');
    const ending = await store.renew({ id: record.id, tenant: 'alice' }, null, 'extend');
    assert.deepEqual(ending, { kind: 'refused', why: 'wrong_state', state: 'stopping' });
  });

  test(`${name}: D12 a lease ends only when its deadline has really passed`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    const { store } = scenario;
    await scenario.declare();
    const record = await scenario.claimed();
    const early = await store.expire(record.id, record.incarnation);
    assert.equal(early.kind, 'not_due');
    assert.ok(early.kind === 'not_due' && early.remainingMs > 50_000 && early.remainingMs <= 60_000);
    assert.deepEqual(await store.due(10), []);

    await store.renew({ id: record.id, tenant: 'alice' }, 0, 'set');
    assert.deepEqual(await store.due(10), [{ id: record.id, incarnation: 2 }]);
    const stale = await store.expire(record.id, 1);
    assert.deepEqual(stale, { kind: 'refused', why: 'stale_incarnation', state: 'running' });
    // The owner was in time after all: what the reaper was told a moment ago no longer counts.
    await store.renew({ id: record.id, tenant: 'alice' }, null, 'extend');
    assert.equal((await store.expire(record.id, 2)).kind, 'not_due');

    await store.renew({ id: record.id, tenant: 'alice' }, 0, 'set');
    const ended = await store.expire(record.id, 2);
    assert.equal(ended.kind, 'done');
    assert.deepEqual([ended.record.state, ended.record.endReason], ['stopping', 'lease_expired']);
    assert.equal(ended.record.lease, undefined);
    assert.deepEqual(await store.expire(record.id, 2), ended);
    assert.deepEqual(await store.due(10), []);
    assert.equal(typeof ended.record.expiredAtMs, 'number');
    await store.finishStop(fence(ended.record));
    const late = await store.get(record.id, 'alice');
    assert.deepEqual([late?.state, late?.expiredAtMs], ['stopped', ended.record.expiredAtMs]);
  });

  test(`${name}: D12 the end of life ends it whatever the keepalives say`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    await scenario.declare();
    const record = await scenario.claimed({ maxLifetimeMs: 0 });
    const renewed = await scenario.store.renew({ id: record.id, tenant: 'alice' }, hourMs, 'extend');
    assert.equal(renewed.kind === 'done' && renewed.record.lease?.remainingMs, 0);
    const ended = await scenario.store.expire(record.id, record.incarnation);
    assert.equal(ended.kind === 'done' && ended.record.endReason, 'lifetime_exceeded');
  });

  test(`${name}: D12 a boot past its deadline fails, warm or cold, and frees what it held`, {
    skip,
  }, async () => {
    await using scenario = await openScenario(contract);
    const { store } = scenario;
    await scenario.declare({ minReady: 1 });
    const warm = await scenario.starting({ bootTimeoutMs: 0 });
    const request = scenario.request({ cold: { id: scenario.newId(), nodeId: 'node-a', bootTimeoutMs: 0 } });
    const cold = await store.claim(request);
    assert.equal(cold.kind, 'starting');
    assert.deepEqual((await store.due(10)).map(({ id }) => id).sort(), [warm.id, cold.record.id].sort());
    for (const { id } of await store.due(10)) {
      const answer = await store.expire(id, 1);
      assert.equal(answer.kind, 'done');
      assert.deepEqual([answer.record.state, answer.record.endReason], ['failed', 'boot_timeout']);
      assert.notEqual(answer.record.failure, undefined);
      assert.deepEqual(await store.expire(id, 1), answer);
    }
    assert.deepEqual(await store.due(10), []);
    const pool = await store.readPool('base');
    assert.deepEqual([pool?.starting, pool?.live, pool?.counters.startsFailed], [0, 0, 2]);
    const retried = await store.claim({
      ...request,
      cold: { id: scenario.newId(), nodeId: 'node-a', bootTimeoutMs: 0 },
    });
    assert.equal(retried.kind, 'starting');
    assert.equal(retried.repeated, false);
  });

  test(`${name}: a boot that comes up late, but before the reaper, is welcome`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    await scenario.declare();
    const starting = await scenario.starting({ bootTimeoutMs: 0 });
    assert.equal((await scenario.store.reportReady(fence(starting))).kind, 'done');
    assert.deepEqual(await scenario.store.due(10), []);
    const refused = await scenario.store.expire(starting.id, 1);
    assert.deepEqual(refused, { kind: 'refused', why: 'wrong_state', state: 'ready' });
  });

  test(`${name}: what is due comes oldest first, and no more than asked for`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    await scenario.declare();
    const ids: string[] = [];
    for (const overdueMs of [30_000, 10_000, 20_000]) {
      const { id } = await scenario.claimed();
      await scenario.store.renew({ id, tenant: 'alice' }, -overdueMs, 'set');
      ids.push(id);
    }
    const order = [ids[0], ids[2], ids[1]];
    assert.deepEqual(
      (await scenario.store.due(10)).map(({ id }) => id),
      order,
    );
    assert.deepEqual(
      (await scenario.store.due(2)).map(({ id }) => id),
      order.slice(0, 2),
    );
  });
}
