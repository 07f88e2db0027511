import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ClaimAnswer, ClaimLimits } from '../../../src/store/pool-store.ts';
import { until } from '../../support/until.ts';
import { type Contract, openScenario } from '../contract.ts';

const two: ClaimLimits = { maxRunning: 2, createsPerSecond: null, createsBurst: 1 };
const wait = { leaseMs: 600_000, poolMax: 64, tenantMax: 64 };

export function limitContract(contract: Contract): void {
  const { name, skip } = contract;

  test(`${name}: a tenant has at most as many sandboxes as it may, warm, cold and waited for`, {
    skip,
  }, async () => {
    await using scenario = await openScenario(contract);
    const { store } = scenario;
    await scenario.declare();
    await scenario.ready();
    const warm = await scenario.claim({ limits: two });
    assert.equal(warm.kind, 'claimed');
    const waits = scenario.request({ limits: two, wait });
    assert.equal((await store.claim(waits)).kind, 'waiting');
    await scenario.ready();
    await scenario.ready();
    assert.deepEqual(await scenario.claim({ limits: two }), refusedAt(2));
    // Another tenant, and one without limits, are not concerned.
    assert.equal((await scenario.claim({ tenant: 'bob', limits: two })).kind, 'claimed');
    assert.equal((await store.claim({ ...waits, waiting: true })).kind, 'claimed');
    assert.deepEqual(await scenario.claim({ limits: two }), refusedAt(2));
    assert.equal((await store.readPool('base'))?.counters.missesOverLimit, 2);
    await store.beginStop({ id: warm.record.id, tenant: 'alice' }, 'deleted');
    const cold = await scenario.coldStart({ limits: two });
    assert.deepEqual(await scenario.claim({ limits: two }), refusedAt(2));
    await store.reportFailed(cold, 'boot_failed', 'no');
    await scenario.ready();
    assert.equal((await scenario.claim({ limits: two })).kind, 'claimed');
  });

  test(`${name}: a claim that gets nothing is not charged, nor one that ends its waiting`, {
    skip,
  }, async () => {
    await using scenario = await openScenario(contract);
    const { store } = scenario;
    await scenario.declare();
    for (let tries = 0; tries < 3; tries += 1)
      assert.deepEqual(await scenario.claim({ limits: two }), { kind: 'empty', why: 'no_ready' });
    for (let tries = 0; tries < 3; tries += 1) {
      const waits = scenario.request({ limits: two, wait });
      assert.equal((await store.claim(waits)).kind, 'waiting');
      await store.stopWaiting({ ...waits, keptMs: 0 });
    }
    await scenario.ready();
    assert.equal((await scenario.claim({ limits: two })).kind, 'claimed');
  });

  test(`${name}: D1 a request that comes again is charged once, and answered at the limit too`, {
    skip,
  }, async () => {
    await using scenario = await openScenario(contract);
    const { store } = scenario;
    await scenario.declare();
    await scenario.ready();
    await scenario.ready();
    const request = scenario.request({ limits: { ...two, maxRunning: 1 } });
    const first = await store.claim(request);
    assert.ok(first.kind === 'claimed');
    // By the same process, whose answer was lost, and by a client that asks anew.
    for (const claimId of [request.claimId, 'another-claim']) {
      const again = await store.claim({ ...request, claimId });
      assert.ok(again.kind === 'claimed' && again.repeated && again.record.id === first.record.id);
    }
    assert.deepEqual(await scenario.claim({ limits: { ...two, maxRunning: 1 } }), refusedAt(1));
    await store.beginStop({ id: first.record.id, tenant: 'alice' }, 'deleted');
    // What has ended is answered too, and charges nothing.
    assert.equal((await store.claim(request)).kind, 'claimed');
    assert.equal((await scenario.claim({ limits: { ...two, maxRunning: 1 } })).kind, 'claimed');
  });

  test(`${name}: a lease that runs out gives back what it was charged`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    await scenario.declare();
    const limits = { ...two, maxRunning: 1 };
    await scenario.ready();
    const answer = await scenario.claim({ limits, leaseTtlMs: 1 });
    assert.ok(answer.kind === 'claimed');
    const { id, incarnation } = answer.record;
    await until(
      async () => (await scenario.store.expire(id, incarnation)).kind === 'done',
      'it did not expire',
    );
    await scenario.ready();
    assert.equal((await scenario.claim({ limits })).kind, 'claimed');
  });

  test(`${name}: creates per second are a burst first, and then as many as come back`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    await scenario.declare();
    const limits = { maxRunning: null, createsPerSecond: 0.001, createsBurst: 3 };
    for (let made = 0; made < 4; made += 1) await scenario.ready();
    for (let create = 0; create < 3; create += 1)
      assert.equal((await scenario.claim({ limits })).kind, 'claimed');
    const refusal = await scenario.claim({ limits });
    assert.ok(refusal.kind === 'over_limit', refusal.kind);
    assert.deepEqual([refusal.limit, refusal.max, refusal.current], ['creates_per_second', 0.001, 3]);
    assert.ok(
      refusal.retryAfterMs !== null && refusal.retryAfterMs > 900_000 && refusal.retryAfterMs <= 1_000_000,
    );
    assert.equal((await scenario.claim({ tenant: 'bob', limits })).kind, 'claimed');

    const quick = { maxRunning: null, createsPerSecond: 100, createsBurst: 1 };
    for (let create = 0; create < 3; create += 1) {
      await scenario.ready();
      const isServed = async () =>
        (await scenario.claim({ tenant: 'carol', limits: quick })).kind === 'claimed';
      await until(isServed, 'no create came back');
    }
  });

  test(`${name}: a claim that waits is one create, however often it asks`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    const { store } = scenario;
    await scenario.declare();
    const limits = { maxRunning: 5, createsPerSecond: 0.001, createsBurst: 1 };
    const waits = scenario.request({ limits, wait });
    assert.equal((await store.claim(waits)).kind, 'waiting');
    for (let asked = 0; asked < 3; asked += 1)
      assert.equal((await store.claim({ ...waits, waiting: true })).kind, 'waiting');
    assert.equal((await scenario.claim({ limits })).kind, 'over_limit');
    await scenario.ready();
    assert.equal((await store.claim({ ...waits, waiting: true })).kind, 'claimed');
  });

  test(`${name}: 64 claims at once of a tenant that may have 3 get 3`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    await scenario.declare();
    for (let made = 0; made < 10; made += 1) await scenario.ready();
    const limits = { ...two, maxRunning: 3 };
    const answers = await Promise.all(Array.from({ length: 64 }, () => scenario.claim({ limits })));
    assert.equal(answers.filter(({ kind }) => kind === 'claimed').length, 3);
    assert.ok(answers.every(({ kind }) => kind === 'claimed' || kind === 'over_limit'));
    assert.equal((await scenario.store.readPool('base'))?.ready, 7);
  });
}

function refusedAt(max: number): ClaimAnswer {
  return { kind: 'over_limit', limit: 'running', max, current: max, retryAfterMs: null };
}
