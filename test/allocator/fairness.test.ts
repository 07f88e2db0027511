import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SystemClock } from '../../src/domain/clock.ts';
import { isWarmpoolError } from '../../src/domain/errors.ts';
import { TenantCatalog } from '../../src/domain/tenant-limits.ts';
import { MemoryPoolStore } from '../../src/store/memory/memory-pool-store.ts';
import { alice, bob, never, plain, poolSpec, startCore } from '../support/core.ts';
import { until } from '../support/until.ts';

const empty = { minReady: 0, maxReady: 8, onMiss: 'wait' } as const;

test('I19 creates that wait are served as they came, in turn between tenants, from any process', async () => {
  await using store = new MemoryPoolStore({ clock: new SystemClock() });
  const pools = [poolSpec({ size: { ...empty, startsInFlightMax: 1 } })];
  await using one = await startCore({ store, pools, nodeId: 'node-a' });
  await using two = await startCore({ store, pools, nodeId: 'node-b' });
  const served: string[] = [];
  const creates: Promise<unknown>[] = [];
  const wait = async (who: string, core: typeof one, principal: typeof alice) => {
    const create = core.allocator.createSandbox(principal, { ...plain, waitMs: 60_000 }, never);
    creates.push(create.then(() => served.push(who)));
    const isThere = async () => (await store.readPool('base'))?.waiting === creates.length;
    await until(isThere, `${who} does not wait`);
  };
  await wait('alice 1', one, alice);
  await wait('alice 2', two, alice);
  await wait('alice 3', one, alice);
  await wait('bob 1', two, bob);
  // One boots at a time, so that they are served one by one.
  await one.allocator.scalePool(alice, 'base', { minReady: 1 });
  await Promise.all(creates);
  assert.deepEqual(served, ['alice 1', 'bob 1', 'alice 2', 'alice 3']);
});

test('more creates than may wait are refused with a time to try again', async () => {
  await using core = await startCore({
    pools: [poolSpec({ size: empty, waiting: { max: 2, perTenantMax: 1 } })],
  });
  const stop = new AbortController();
  const request = { ...plain, waitMs: 60_000 };
  const waiting = [alice, bob].map((who) => core.allocator.createSandbox(who, request, stop.signal));
  const settled = Promise.allSettled(waiting);
  await core.until('base', (pool) => pool.waiting === 2);
  await assert.rejects(core.allocator.createSandbox(alice, request, never), (error) => {
    assert.ok(isWarmpoolError(error) && error.code === 'NO_CAPACITY', String(error));
    assert.deepEqual(error.details.facts, { pool: 'base', why: 'queue_full' });
    assert.equal(error.details.retryAfterMs, 1_000);
    return true;
  });
  // Whoever is called off gives up the place at once.
  stop.abort();
  await settled;
  assert.equal((await core.store.readPool('base'))?.waiting, 0);
});

test('a create whose wait is over gives up its place', async () => {
  await using core = await startCore({ pools: [poolSpec({ size: empty })] });
  const create = core.allocator.createSandbox(alice, { ...plain, waitMs: 20 }, never);
  await assert.rejects(create, (error) => isWarmpoolError(error) && error.code === 'NO_CAPACITY');
  assert.equal((await core.store.readPool('base'))?.waiting, 0);
});

test('a tenant over its limit is refused with the quota, the limit and what it has; others are not', async () => {
  const unlimited = { maxRunning: null, createsPerSecond: null, createsBurst: 1, reserved: {} };
  const tenants = new TenantCatalog({
    others: unlimited,
    named: {
      alice: { ...unlimited, maxRunning: 1 },
      bob: { ...unlimited, createsPerSecond: 0.001, createsBurst: 1 },
    },
  });
  await using core = await startCore({ limitsOf: (tenant) => tenants.limitsOf(tenant) });
  const { record } = await core.allocator.createSandbox(alice, plain, never);
  await assert.rejects(core.allocator.createSandbox(alice, plain, never), (error) => {
    assert.ok(isWarmpoolError(error) && error.code === 'QUOTA_EXCEEDED', String(error));
    assert.deepEqual(error.details, { facts: { quota: 'running', limit: '1', current: '1' } });
    return true;
  });
  await core.allocator.deleteSandbox(alice, record.id, never);
  await core.allocator.createSandbox(alice, plain, never);
  await core.allocator.createSandbox(bob, plain, never);
  await assert.rejects(core.allocator.createSandbox(bob, plain, never), (error) => {
    assert.ok(isWarmpoolError(error) && error.code === 'QUOTA_EXCEEDED', String(error));
    assert.deepEqual(error.details.facts, { quota: 'creates_per_second', limit: '0.001', current: '1' });
    assert.ok((error.details.retryAfterMs ?? 0) > 10_000);
    return true;
  });
  const text = await core.observer.expose();
  assert.match(text, /warmpool_claim_misses_total\{cause="over_limit"\} 2/);
  assert.match(text, /warmpool_claims_total\{outcome="over_limit"\} 2/);
});
