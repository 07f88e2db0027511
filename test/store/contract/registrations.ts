import assert from 'node:assert/strict';
import { test } from 'node:test';
import { shardOfPool } from '../../../src/domain/ids.ts';
import type { SandboxRecord } from '../../../src/domain/sandbox.ts';
import type { BoundSandbox } from '../../../src/store/pool-store.ts';
import { poolSpec } from '../../support/core.ts';
import { fence, hourMs, type StoreScenario } from '../../support/store-scenario.ts';
import { type Contract, openScenario } from '../contract.ts';

/** What a node whose sandbox this is has in its journal. */
export function boundOf(record: SandboxRecord, change: Partial<BoundSandbox> = {}): BoundSandbox {
  const { claim, lease, id, pool, specVersion, launch, nodeId, incarnation, createdAtMs, readyAtMs } = record;
  assert.ok(claim && lease);
  return {
    ...{ id, pool, specVersion, launch, nodeId, incarnation, createdAtMs, claim },
    ...(readyAtMs === undefined ? {} : { readyAtMs }),
    leaseTtlMs: lease.ttlMs,
    onExpiry: lease.onExpiry,
    leaseLeftMs: lease.remainingMs,
    lifeLeftMs: lease.endOfLifeMs - lease.expiresAtMs + lease.remainingMs,
    ...change,
  };
}

/** Claimed by alice in a store that nobody has any more; what the present one knows of it is the test's business. */
async function boundElsewhere(scenario: StoreScenario, id: string): Promise<BoundSandbox> {
  const record = await scenario.claimed({ leaseTtlMs: 120_000 });
  return boundOf({ ...record, id }, { leaseLeftMs: 90_000, lifeLeftMs: hourMs });
}

export function registrationContract(contract: Contract): void {
  const { name, skip } = contract;

  test(`${name}: I4 what nodes tell of before anybody tells of its pool is counted in the pool`, {
    skip,
  }, async () => {
    await using scenario = await openScenario(contract);
    const { store } = scenario;
    await scenario.declare();
    const shard = shardOfPool('base');
    const late = Array.from({ length: 1_000 }, (_, index) => `late-${index}`).find(
      (each) => shardOfPool(each) === shard,
    );
    assert.ok(late);
    const bound = { ...(await boundElsewhere(scenario, scenario.newId())), pool: late };
    assert.equal((await store.registerBound(bound)).kind, 'done');
    const { specVersion } = bound;
    const pool = await store.declarePool({ name: late, specVersion, size: poolSpec().size });
    assert.equal(pool.live, 1);
    await store.beginStop({ id: bound.id, tenant: null }, 'deleted');
    const { id, nodeId, incarnation } = bound;
    await store.finishStop({ id, nodeId, incarnation });
    assert.equal((await store.readPool(late))?.live, 0);
  });

  test(`${name}: D9 a store that knows nothing of a bound sandbox takes its node's word`, {
    skip,
  }, async () => {
    await using scenario = await openScenario(contract);
    const { store } = scenario;
    await scenario.declare();
    const bound = await boundElsewhere(scenario, scenario.newId());
    const before = await store.readPool('base');
    const answer = await store.registerBound(bound);
    assert.ok(answer.kind === 'done');
    const { record } = answer;
    assert.deepEqual(
      [record.state, record.nodeId, record.incarnation, record.launch, record.readyAtMs],
      ['running', 'node-a', 2, 'warm', bound.readyAtMs],
    );
    assert.deepEqual(record.claim, bound.claim);
    const { remainingMs = 0, ttlMs, endOfLifeMs = 0, expiresAtMs = 0 } = record.lease ?? {};
    assert.equal(ttlMs, 120_000);
    assert.ok(remainingMs > 80_000 && remainingMs <= 90_000, `${remainingMs} ms left`);
    assert.equal(endOfLifeMs - expiresAtMs, hourMs - 90_000);
    // What is left of the lease goes down between the answer and the look.
    const known = await store.get(bound.id, 'alice');
    assert.deepEqual(known, { ...record, lease: known?.lease });
    assert.equal((await store.readPool('base'))?.live, (before?.live ?? 0) + 1);
    assert.equal((await store.inventory('node-a')).length, 2);
    assert.equal((await store.list({ tenant: 'alice', pageSize: 10 })).records.length, 2);
    assert.deepEqual(await store.healIndexes(), { readded: 0, dropped: 0 });
    // It is a sandbox as any other from then on.
    assert.equal((await store.renew({ id: bound.id, tenant: 'alice' }, null, 'extend')).kind, 'done');
    assert.equal((await store.beginStop({ id: bound.id, tenant: 'alice' }, 'deleted')).kind, 'done');
    assert.equal((await store.finishStop(fence(record))).kind, 'done');
  });

  test(`${name}: D9 one that the store has in its pool is handed out no more`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    const { store } = scenario;
    await scenario.declare();
    const ready = await scenario.ready();
    const starting = await scenario.starting();
    for (const { id, incarnation } of [ready, starting]) {
      const claim = {
        tenant: 'alice',
        claimId: `claim-of-${id}`,
        claimedAtMs: 1,
        customisation: { env: {}, metadata: {} },
      };
      const truth = { ...boundOf({ ...ready, id, incarnation: 2, claim, lease: plainLease }) };
      const answer = await store.registerBound(truth);
      assert.ok(answer.kind === 'done' && answer.record.incarnation === Math.max(2, incarnation));
    }
    const pool = await store.readPool('base');
    assert.deepEqual([pool?.ready, pool?.starting, pool?.live], [0, 0, 2]);
    assert.deepEqual(await scenario.claim(), { kind: 'empty', why: 'no_ready' });
    assert.deepEqual(await store.healIndexes(), { readded: 0, dropped: 0 });
  });

  test(`${name}: D9 D7 another claim loses it, and its request gets another one`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    const { store } = scenario;
    await scenario.declare();
    const request = scenario.request({ tenant: 'bob' });
    await scenario.ready();
    const second = await store.claim(request);
    assert.ok(second.kind === 'claimed');
    const claim = { ...second.record.claim, tenant: 'alice', claimId: 'the-first-one' };
    const truth = boundOf({
      ...second.record,
      claim: { ...claim, claimedAtMs: 1, customisation: { env: { A: 'first' }, metadata: {} } },
    });
    const answer = await store.registerBound(truth);
    assert.ok(answer.kind === 'done');
    assert.equal(answer.record.claim?.claimId, 'the-first-one');
    assert.deepEqual(answer.record.claim?.customisation.env, { A: 'first' });
    assert.equal(await store.get(truth.id, 'bob'), null);
    assert.deepEqual((await store.list({ tenant: 'bob', pageSize: 10 })).records, []);

    await scenario.ready();
    const again = await store.claim(request);
    assert.ok(again.kind === 'claimed' && !again.repeated);
    assert.notEqual(again.record.id, truth.id);
    assert.deepEqual(await store.healIndexes(), { readded: 0, dropped: 0 });
  });

  test(`${name}: D9 the end of another claim does not end it, also when a boot was given up`, {
    skip,
  }, async () => {
    await using scenario = await openScenario(contract);
    const { store } = scenario;
    await scenario.declare();
    const stopping = await scenario.claimed({ tenant: 'bob' });
    await store.beginStop({ id: stopping.id, tenant: 'bob' }, 'deleted');
    const failed = await scenario.starting({ bootTimeoutMs: 0 });
    await store.expire(failed.id, 1);
    for (const record of [stopping, failed]) {
      const claim = {
        tenant: 'alice',
        claimId: 'true',
        claimedAtMs: 1,
        customisation: { env: {}, metadata: {} },
      };
      const answer = await store.registerBound(boundOf({ ...record, claim, lease: plainLease }));
      assert.ok(answer.kind === 'done', record.state);
      assert.deepEqual(
        [answer.record.state, answer.record.endReason, answer.record.failure],
        ['running', undefined, undefined],
      );
    }
    assert.equal((await store.readPool('base'))?.live, 2);
  });

  test(`${name}: D9 the end of its own claim stands, and a record that was let go`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    const { store } = scenario;
    await scenario.declare();
    const record = await scenario.claimed();
    const bound = boundOf(record);
    await store.beginStop({ id: record.id, tenant: 'alice' }, 'deleted');
    assert.deepEqual(await store.registerBound(bound), {
      kind: 'refused',
      why: 'wrong_state',
      state: 'stopping',
    });
    await store.finishStop(fence(record));
    assert.deepEqual(await store.registerBound(bound), {
      kind: 'refused',
      why: 'wrong_state',
      state: 'stopped',
    });
    const others = { ...bound, claim: { ...bound.claim, claimId: 'another' } };
    assert.deepEqual(await store.registerBound(others), {
      kind: 'refused',
      why: 'wrong_state',
      state: 'stopped',
    });
  });

  test(`${name}: I2 a store put back to its boot still knows whose request it was`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    const { store } = scenario;
    await scenario.declare();
    const cold = { id: scenario.newId(), nodeId: 'node-a', bootTimeoutMs: 60_000 };
    const request = scenario.request({ cold });
    const booting = await store.claim(request);
    assert.ok(booting.kind === 'starting');
    const answer = await store.registerBound(boundOf({ ...booting.record, lease: plainLease }));
    assert.ok(answer.kind === 'done' && answer.record.state === 'running');
    const again = await store.claim(request);
    assert.ok(again.kind === 'claimed' && again.repeated);
    assert.equal(again.record.id, booting.record.id);
    assert.deepEqual(await store.healIndexes(), { readded: 0, dropped: 0 });
  });

  test(`${name}: D9 a repeated word changes nothing, and a lease is made no shorter by it`, {
    skip,
  }, async () => {
    await using scenario = await openScenario(contract);
    const { store } = scenario;
    await scenario.declare();
    const record = await scenario.claimed();
    const left = async () => (await store.get(record.id, 'alice'))?.lease?.remainingMs ?? 0;
    assert.equal((await store.registerBound(boundOf(record, { leaseLeftMs: 1 }))).kind, 'done');
    assert.ok((await left()) > 50_000);
    await store.registerBound(boundOf(record, { leaseLeftMs: 600_000, lifeLeftMs: 2 * hourMs }));
    assert.ok((await left()) > 590_000);
    await store.registerBound(boundOf(record, { leaseLeftMs: 2 * hourMs, lifeLeftMs: hourMs }));
    assert.ok((await left()) <= 2 * hourMs);
    assert.equal((await store.inventory('node-a')).length, 1);
    assert.deepEqual(await store.due(10), []);
    assert.deepEqual(await store.healIndexes(), { readded: 0, dropped: 0 });
  });

  test(`${name}: I9 another node's word on a sandbox is not taken`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    const { store } = scenario;
    await scenario.declare();
    const record = await scenario.claimed();
    const bound = boundOf(record, { nodeId: 'node-b' });
    assert.deepEqual(await store.registerBound(bound), { kind: 'refused', why: 'other_node' });
    const ready = await scenario.ready();
    assert.deepEqual(await store.registerReady({ ...ready, nodeId: 'node-b' }), {
      kind: 'refused',
      why: 'other_node',
    });
  });

  test(`${name}: I2 an unused one that the store has lost is ready again, while the pool wants it`, {
    skip,
  }, async () => {
    await using scenario = await openScenario(contract);
    const { store } = scenario;
    const unused = {
      id: scenario.newId(),
      pool: 'base',
      nodeId: 'node-a',
      specVersion: 'v1',
      incarnation: 1,
    };
    assert.deepEqual(await store.registerReady(unused), { kind: 'refused', why: 'no_pool' });
    await scenario.declare({ minReady: 2, maxTotal: 3 });
    assert.deepEqual(await store.registerReady({ ...unused, specVersion: 'v0' }), {
      kind: 'refused',
      why: 'spec_changed',
    });
    const answer = await store.registerReady(unused);
    assert.ok(answer.kind === 'done' && answer.record.state === 'ready');
    assert.deepEqual(await store.registerReady(unused), answer);
    await scenario.ready();
    const surplus = { ...unused, id: scenario.newId() };
    assert.deepEqual(await store.registerReady(surplus), { kind: 'refused', why: 'target_met' });
    await scenario.claim();
    assert.equal((await store.registerReady(surplus)).kind, 'done');
    await scenario.claim();
    const over = { ...unused, id: scenario.newId() };
    assert.deepEqual(await store.registerReady(over), { kind: 'refused', why: 'max_total' });
    assert.deepEqual(await store.healIndexes(), { readded: 0, dropped: 0 });
  });

  test(`${name}: I3 a claimed one is made ready by nobody's word`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    const { store } = scenario;
    await scenario.declare();
    const record = await scenario.claimed();
    assert.deepEqual(await store.registerReady({ ...record, incarnation: 1 }), {
      kind: 'refused',
      why: 'wrong_state',
      state: 'running',
    });
    const followed = await store.follow(null, AbortSignal.timeout(30_000));
    const unused = { ...record, id: scenario.newId() };
    await store.registerReady(unused);
    const next = await scenario.claim();
    assert.equal(next.kind === 'claimed' && next.record.id, unused.id);
    for await (const [event] of followed) {
      assert.deepEqual([event?.id, event?.from, event?.to], [unused.id, null, 'ready']);
      break;
    }
  });
}

const plainLease = {
  expiresAtMs: 60_000,
  remainingMs: 60_000,
  ttlMs: 60_000,
  endOfLifeMs: hourMs,
  onExpiry: 'kill',
} as const;
