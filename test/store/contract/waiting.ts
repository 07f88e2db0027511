import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ClaimAnswer, ClaimRequest, WaitTerms } from '../../../src/store/pool-store.ts';
import type { StoreScenario } from '../../support/store-scenario.ts';
import { until } from '../../support/until.ts';
import { type Contract, openScenario } from '../contract.ts';

/** Long enough for any machine; a place that is to be lost is given up by a shorter one. */
const wait: WaitTerms = { leaseMs: 600_000, poolMax: 64, tenantMax: 16 };

export function waitingContract(contract: Contract): void {
  const { name, skip } = contract;

  test(`${name}: I19 those who wait are served as they came, and nobody overtakes them`, {
    skip,
  }, async () => {
    await using scenario = await openScenario(contract);
    await scenario.declare();
    const line = new Line(scenario);
    const [first, second] = [await line.join('alice'), await line.join('alice')];
    await scenario.ready();
    assert.equal((await line.ask(second)).kind, 'waiting');
    assert.deepEqual(await scenario.claim({ tenant: 'bob' }), { kind: 'empty', why: 'no_ready' });
    assert.equal((await scenario.claim({ tenant: 'bob', wait })).kind, 'waiting');
    assert.equal((await line.ask(first)).kind, 'claimed');
    await scenario.ready();
    await scenario.ready();
    // As many are left as wait before it.
    assert.equal((await line.ask(second)).kind, 'claimed');
  });

  test(`${name}: I19 tenants take turns, whatever the number of their claims`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    await scenario.declare();
    const line = new Line(scenario);
    for (const tenant of ['alice', 'alice', 'alice', 'bob', 'carol', 'bob']) await line.join(tenant);
    assert.deepEqual(await line.serve(2), ['alice 1', 'bob 4']);
    // Whoever comes now has its turn after all who wait for theirs in this round, and once in the next.
    await line.join('bob');
    await line.join('dave');
    assert.deepEqual(await line.serve(6), [...['carol 5', 'alice 2', 'bob 6', 'dave 8', 'alice 3', 'bob 7']]);
  });

  test(`${name}: a tenant loses no turn with a claim that waits no more`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    await scenario.declare();
    const line = new Line(scenario);
    const claims: ClaimRequest[] = [];
    for (const tenant of ['alice', 'alice', 'alice', 'bob', 'bob']) claims.push(await line.join(tenant));
    const gone = claims[0];
    assert.ok(gone);
    await line.leave(gone);
    assert.deepEqual(await line.serve(4), ['alice 2', 'bob 4', 'alice 3', 'bob 5']);
    assert.equal((await scenario.store.readPool('base'))?.waiting, 0);
    // A new queue begins anew.
    assert.equal((await line.join('alice')).tenant, 'alice');
  });

  test(`${name}: as many take at once as there are for all before them`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    await scenario.declare();
    const line = new Line(scenario);
    const claims: ClaimRequest[] = [];
    for (let count = 0; count < 3; count += 1) claims.push(await line.join('alice'));
    const [first, second, third] = claims;
    assert.ok(first && second && third);
    await scenario.ready();
    await scenario.ready();
    assert.equal((await line.ask(third)).kind, 'waiting');
    assert.equal((await line.ask(second)).kind, 'claimed');
    assert.equal((await line.ask(third)).kind, 'waiting');
    assert.equal((await line.ask(first)).kind, 'claimed');
    assert.equal((await scenario.store.readPool('base'))?.waiting, 1);
  });

  test(`${name}: says how many have to become ready before asking again is of use`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    await scenario.declare();
    const line = new Line(scenario);
    await line.join('alice');
    const second = await line.join('alice');
    const third = await line.join('bob');
    assert.deepEqual(await line.ask(second), { kind: 'waiting', readyNeeded: 3 });
    assert.deepEqual(await line.ask(third), { kind: 'waiting', readyNeeded: 2 });
    await scenario.ready();
    assert.deepEqual(await line.ask(second), { kind: 'waiting', readyNeeded: 2 });
  });

  test(`${name}: more than may wait, in all or of one tenant, are refused at once`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    await scenario.declare();
    const few = { ...wait, poolMax: 3, tenantMax: 2 };
    const ask = (tenant: string) => scenario.claim({ tenant, wait: few });
    assert.equal((await ask('alice')).kind, 'waiting');
    assert.equal((await ask('alice')).kind, 'waiting');
    assert.deepEqual(await ask('alice'), { kind: 'empty', why: 'tenant_queue_full' });
    assert.equal((await ask('bob')).kind, 'waiting');
    assert.deepEqual(await ask('bob'), { kind: 'empty', why: 'queue_full' });
    const { waiting, counters } = (await scenario.store.readPool('base')) ?? {};
    assert.deepEqual([waiting, counters?.missesEmpty], [3, 5]);
  });

  test(`${name}: a place is lost when its claim does not come back in time`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    await scenario.declare();
    const line = new Line(scenario);
    const dead = scenario.request({ wait: { ...wait, leaseMs: 1 } });
    assert.equal((await scenario.store.claim(dead)).kind, 'waiting');
    const live = await line.join('alice');
    const waiting = async () => (await scenario.store.readPool('base'))?.waiting;
    await until(async () => (await waiting()) === 1, 'the place of the dead one was not lost');
    await scenario.ready();
    assert.equal((await line.ask(live)).kind, 'claimed');
    // It may still come back: at the end.
    await line.join('alice');
    assert.equal((await scenario.store.claim({ ...dead, wait, waiting: true })).kind, 'waiting');
    await scenario.ready();
    assert.equal((await line.ask(dead)).kind, 'waiting');
  });

  test(`${name}: a place that the same request may have twice is kept for a moment`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    await scenario.declare();
    const line = new Line(scenario);
    const twice = await line.join('alice');
    const second = await line.join('alice');
    await scenario.store.stopWaiting({ ...twice, keptMs: 600_000 });
    await scenario.ready();
    assert.equal((await line.ask(second)).kind, 'waiting');
    assert.equal((await line.ask(twice)).kind, 'claimed');
    // Served is served.
    await scenario.store.stopWaiting({ ...twice, keptMs: 0 });
    const again = await scenario.store.claim(twice);
    assert.ok(again.kind === 'claimed' && again.repeated);
  });

  test(`${name}: a cold claim takes over no boot that others wait for`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    await scenario.declare();
    const line = new Line(scenario);
    await line.join('alice');
    const boot = await scenario.starting();
    const own = await scenario.coldStart({ tenant: 'bob' });
    assert.notEqual(own.id, boot.id);
    const another = await scenario.starting();
    const cold = await scenario.coldStart({ tenant: 'bob' });
    assert.ok([boot.id, another.id].includes(cold.id));
  });

  test(`${name}: what is reserved for a tenant is its own, ready or booting, before those who wait`, {
    skip,
  }, async () => {
    await using scenario = await openScenario(contract);
    const { store } = scenario;
    const declared = await scenario.declare();
    await store.declarePool({ ...declared, reserved: { alice: 2 } });
    await scenario.ready();
    await scenario.ready();
    const line = new Line(scenario);
    const bob = await line.join('bob');
    assert.equal((await scenario.claim({ tenant: 'bob' })).kind, 'empty');
    assert.equal((await scenario.claim({ tenant: 'alice' })).kind, 'claimed');
    const second = await scenario.claim({ tenant: 'alice' });
    assert.equal(second.kind, 'claimed');
    // It has its share: from here on it waits as everybody does.
    assert.equal((await scenario.claim({ tenant: 'alice' })).kind, 'empty');
    await scenario.ready();
    assert.equal((await scenario.claim({ tenant: 'alice' })).kind, 'empty');
    assert.equal((await line.ask(bob)).kind, 'claimed');
    // One has ended: the next that is ready is kept for it.
    await store.beginStop({ id: second.record.id, tenant: 'alice' }, 'deleted');
    await scenario.ready();
    assert.equal((await scenario.claim({ tenant: 'carol' })).kind, 'empty');
    assert.equal((await scenario.claim({ tenant: 'alice' })).kind, 'claimed');
    assert.deepEqual(await store.healIndexes(), { readded: 0, dropped: 0 });
    // Declared by somebody who says nothing of it, it stays; by one who says that there is none, it is gone.
    await store.beginStop({ id: second.record.id, tenant: 'alice' }, 'deleted');
    await scenario.declare();
    await store.declarePool({ ...declared, reserved: {} });
    await scenario.ready();
    assert.equal((await scenario.claim({ tenant: 'carol' })).kind, 'claimed');
  });

  test(`${name}: T3 I19 64 that wait for 1, 2 and 3 at a time: as many winners, tenants in turn`, {
    skip,
  }, async () => {
    await using scenario = await openScenario(contract);
    await scenario.declare();
    const line = new Line(scenario);
    const tenants = ['alice', 'bob', 'carol', 'dave'];
    for (let number = 0; number < 64; number += 1) await line.join(tenants[Math.floor(number / 16)] ?? '');
    const served: string[] = [];
    for (let round = 0; served.length < 60; round += 1) {
      const count = (round % 3) + 1;
      for (let made = 0; made < count; made += 1) await scenario.ready();
      const winners: string[] = [];
      // Whoever asks too early, as most do here, asks again: nothing of the order is in the hands of those who ask.
      while (winners.length < count) winners.push(...(await line.askAll()));
      assert.equal(winners.length, count);
      assert.equal((await scenario.claim({ tenant: 'eve' })).kind, 'empty');
      served.push(...winners.sort(byNumber));
    }
    // Within a tenant as they came, and never more than a turn apart from any other.
    for (const [at, winner] of served.entries()) {
      const counts = tenants.map(
        (tenant) => served.slice(0, at + 1).filter((one) => one.startsWith(tenant)).length,
      );
      assert.ok(Math.max(...counts) - Math.min(...counts) <= 1 + 2, `${winner} after ${served.slice(0, at)}`);
    }
    for (const tenant of tenants) {
      const own = served.filter((one) => one.startsWith(tenant));
      assert.deepEqual(own, [...own].sort(byNumber));
    }
  });
}

/** Claims that wait, each with the number of its coming. */
class Line {
  readonly #scenario: StoreScenario;
  readonly #claims = new Map<string, ClaimRequest>();
  #came = 0;

  constructor(scenario: StoreScenario) {
    this.#scenario = scenario;
  }

  async join(tenant: string): Promise<ClaimRequest> {
    const claim = this.#scenario.request({ tenant, wait });
    assert.equal((await this.#scenario.store.claim(claim)).kind, 'waiting');
    this.#came += 1;
    this.#claims.set(`${tenant} ${this.#came}`, claim);
    return claim;
  }

  ask(claim: ClaimRequest): Promise<ClaimAnswer> {
    return this.#scenario.store.claim({ ...claim, waiting: true });
  }

  async leave(claim: ClaimRequest): Promise<void> {
    for (const [who, one] of this.#claims) if (one === claim) this.#claims.delete(who);
    await this.#scenario.store.stopWaiting({ ...claim, keptMs: 0 });
  }

  /** All at once; those who got one wait no more. */
  async askAll(): Promise<string[]> {
    const answers = await Promise.all(
      [...this.#claims].map(async ([who, claim]) => ({ who, answer: await this.ask(claim) })),
    );
    const winners = answers.filter(({ answer }) => answer.kind === 'claimed').map(({ who }) => who);
    for (const who of winners) this.#claims.delete(who);
    return winners;
  }

  /** One becomes ready at a time. */
  async serve(count: number): Promise<string[]> {
    const served: string[] = [];
    while (served.length < count) {
      await this.#scenario.ready();
      const winners = await this.askAll();
      assert.equal(winners.length, 1, winners.join());
      served.push(...winners);
    }
    return served;
  }
}

function byNumber(a: string, b: string): number {
  return Number(a.split(' ')[1]) - Number(b.split(' ')[1]);
}
