import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as elapse } from 'node:timers/promises';
import { SystemClock } from '../../../src/domain/clock.ts';
import type { SandboxRecord } from '../../../src/domain/sandbox.ts';
import { fence } from '../../support/store-scenario.ts';
import { type Contract, openScenario } from '../contract.ts';

const clock = new SystemClock();

export function raceContract(contract: Contract): void {
  const { name, skip } = contract;

  test(`${name}: T3 64 claimers of 1, 2 and 3 ready ones: exactly as many winners`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    const { store } = scenario;
    await scenario.declare();
    for (let round = 0; round < 30; round += 1) {
      const count = (round % 3) + 1;
      for (let made = 0; made < count; made += 1) await scenario.ready();
      const answers = await Promise.all(Array.from({ length: 64 }, () => scenario.claim()));
      const winners = answers.flatMap((answer) => (answer.kind === 'claimed' ? [answer.record] : []));
      assert.equal(winners.length, count);
      assert.equal(new Set(winners.map(({ id }) => id)).size, count);
      for (const answer of answers) assert.ok(answer.kind === 'claimed' || answer.kind === 'empty');
      for (const winner of winners) {
        await store.beginStop({ id: winner.id, tenant: 'alice' }, 'deleted');
        await store.finishStop(fence(winner));
      }
    }
    assert.equal((await store.readPool('base'))?.live, 0);
  });

  test(`${name}: D17 64 nodes that ask at once get no more slots than are wanted`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    await scenario.declare({ minReady: 5 });
    const answers = await Promise.all(
      Array.from({ length: 64 }, (_, node) => scenario.reserve({ nodeId: `node-${node}` })),
    );
    assert.equal(answers.filter(({ kind }) => kind === 'reserved').length, 5);
    assert.equal((await scenario.store.readPool('base'))?.starting, 5);
  });

  test(`${name}: D1 one request sent 32 times at once takes one sandbox`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    await scenario.declare();
    for (let made = 0; made < 3; made += 1) await scenario.ready();
    const request = scenario.request();
    const answers = await Promise.all(Array.from({ length: 32 }, () => scenario.store.claim(request)));
    const ids = new Set(
      answers.map((answer) => (answer.kind === 'claimed' ? answer.record.id : answer.kind)),
    );
    assert.equal(ids.size, 1);
    assert.equal((await scenario.store.readPool('base'))?.ready, 2);
  });

  test(`${name}: T7 a lease renewed near its deadline lives a full term or is gone`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    const { store } = scenario;
    await scenario.declare();
    const ttlMs = 120;
    const records: SandboxRecord[] = [];
    for (let made = 0; made < 40; made += 1) records.push(await scenario.claimed({ leaseTtlMs: ttlMs }));
    const reaped = new Map<string, number>();
    // On a busy machine far longer than the leases: what counts is that none outlives its renewal for ever.
    const patienceEndMs = clock.monotonicMs() + 30_000;
    const reaper = (async () => {
      while (reaped.size < records.length && clock.monotonicMs() < patienceEndMs) {
        const due = await store.due(100);
        // Time for keepalives to come in between: what was due may not be when the reaper acts on it.
        await elapse(5);
        for (const { id, incarnation } of due) {
          const answer = await store.expire(id, incarnation);
          if (answer.kind === 'done') reaped.set(id, clock.monotonicMs());
        }
        await elapse(1);
      }
    })();
    const outcomes = await Promise.all(
      records.map(async ({ id, lease }, index) => {
        const leftMs = (lease?.expiresAtMs ?? 0) - clock.wallMs();
        // Spread over 20 ms before the deadline to 20 ms after it.
        await elapse(Math.max(0, leftMs - 20 + index));
        const sentAtMs = clock.monotonicMs();
        const answer = await store.renew({ id, tenant: 'alice' }, ttlMs, 'extend');
        return { id, sentAtMs, answer };
      }),
    );
    await reaper;
    for (const { id, sentAtMs, answer } of outcomes) {
      const endedAtMs = reaped.get(id);
      assert.ok(endedAtMs !== undefined, 'every lease ends');
      if (answer.kind === 'done') {
        assert.ok(
          endedAtMs - sentAtMs >= ttlMs - 2,
          `it was promised ${ttlMs} ms and lived ${endedAtMs - sentAtMs}`,
        );
      } else {
        assert.deepEqual(answer, { kind: 'refused', why: 'wrong_state', state: 'stopping' });
      }
    }
  });
}
