import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isWarmpoolError } from '../../../src/domain/errors.ts';
import type { EventCursor, PoolStore, StoreEvent } from '../../../src/store/pool-store.ts';
import { fence } from '../../support/store-scenario.ts';
import { within } from '../../support/within.ts';
import { type Contract, openScenario } from '../contract.ts';

export function eventContract(contract: Contract): void {
  const { name, skip } = contract;

  test(`${name}: every transition is told once, in order, to whoever follows`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    const { store } = scenario;
    await scenario.declare();
    await scenario.starting();
    const following = firstEvents(await store.follow(null, never), 5);
    const record = await scenario.claimed();
    await store.beginStop({ id: record.id, tenant: 'alice' }, 'deleted');
    await store.finishStop(fence(record));
    const events = await following;
    assert.deepEqual(
      events.map(({ incarnation, tenant, from, to, reason }) => ({ incarnation, tenant, from, to, reason })),
      [
        { incarnation: 1, tenant: null, from: null, to: 'starting', reason: null },
        { incarnation: 1, tenant: null, from: 'starting', to: 'ready', reason: null },
        { incarnation: 2, tenant: 'alice', from: 'ready', to: 'running', reason: null },
        { incarnation: 2, tenant: 'alice', from: 'running', to: 'stopping', reason: 'deleted' },
        { incarnation: 2, tenant: 'alice', from: 'stopping', to: 'stopped', reason: 'deleted' },
      ],
    );
    for (const event of events) {
      assert.deepEqual([event.id, event.pool, event.nodeId], [record.id, 'base', 'node-a']);
      assert.ok(event.cursor.length <= 512 && /^[\x21-\x7e]+$/.test(event.cursor));
      assert.ok(event.atMs >= record.createdAtMs);
    }
  });

  test(`${name}: a cold start and a candidate that was turned down are told too`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    await scenario.declare();
    const old = await scenario.ready();
    await scenario.declare({}, 'v2');
    const following = firstEvents(await scenario.store.follow(null, never), 3);
    const cold = await scenario.coldStart();
    await scenario.store.reportFailed(fence(cold), 'boot_failed', 'no');
    assert.deepEqual(
      (await following).map(({ id, tenant, from, to, reason }) => ({ id, tenant, from, to, reason })),
      [
        { id: old.id, tenant: null, from: 'ready', to: 'stopping', reason: 'spec_changed' },
        { id: cold.id, tenant: 'alice', from: null, to: 'starting', reason: null },
        { id: cold.id, tenant: 'alice', from: 'starting', to: 'failed', reason: 'boot_failed' },
      ],
    );
  });

  test(`${name}: I12 whatever happens once following has begun is told, whoever else follows`, {
    skip,
  }, async () => {
    await using scenario = await openScenario(contract);
    const { store } = scenario;
    await scenario.declare();
    const waiting: Promise<readonly StoreEvent[]>[] = [];
    const made: string[] = [];
    for (let round = 0; round < 40; round += 1) {
      const followers = await Promise.all(Array.from({ length: 10 }, () => store.follow(null, never)));
      waiting.push(...followers.map((follower) => firstEvents(follower, 1)));
      made.push((await scenario.starting()).id);
    }
    const firsts = (await Promise.all(waiting)).map(([event]) => event?.id);
    assert.deepEqual(
      firsts,
      made.flatMap((id) => Array.from({ length: 10 }, () => id)),
    );
  });

  test(`${name}: following goes on after any event, with nothing twice and nothing lost`, {
    skip,
  }, async () => {
    await using scenario = await openScenario(contract);
    await scenario.declare();
    const following = firstEvents(await scenario.store.follow(null, never), 6);
    await scenario.claimed();
    await scenario.claimed();
    const all = await following;
    for (const [index, event] of all.slice(0, -1).entries()) {
      const rest = await collectAfter(scenario.store, event.cursor, all.length - index - 1);
      assert.deepEqual(rest, all.slice(index + 1));
    }
  });

  test(`${name}: following ends promptly when its signal aborts`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    const stop = new AbortController();
    const ended = firstEvents(await scenario.store.follow(null, stop.signal), 1);
    stop.abort();
    assert.deepEqual(await ended, []);
    assert.deepEqual(await firstEvents(await scenario.store.follow(null, AbortSignal.abort()), 1), []);
  });

  test(`${name}: a cursor that this store did not give out is refused by its name`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    await scenario.declare();
    const following = firstEvents(await scenario.store.follow(null, never), 1);
    await scenario.starting();
    const [event] = await following;
    const cursor = event?.cursor ?? '';
    const bad = [
      '',
      'x',
      '0',
      cursor.slice(1),
      `${cursor}.`,
      `${cursor}.1`,
      `${cursor}%`,
      'é',
      'a'.repeat(9_999),
    ];
    for (const text of bad) {
      await assert.rejects(
        collectAfter(scenario.store, text, 1),
        (error) =>
          isWarmpoolError(error) &&
          error.code === 'INVALID_REQUEST' &&
          error.details.violations?.[0]?.field === 'after_event_id',
        text,
      );
    }
  });

  test(`${name}: D6 everything works with nobody following`, { skip }, async () => {
    await using scenario = await openScenario(contract);
    await scenario.declare();
    const record = await scenario.claimed();
    await scenario.store.renew({ id: record.id, tenant: 'alice' }, 0, 'set');
    assert.deepEqual(await scenario.store.due(1), [{ id: record.id, incarnation: 2 }]);
    assert.equal((await scenario.store.expire(record.id, 2)).kind, 'done');
  });
}

/** A signal that never aborts. */
export const never: AbortSignal = new AbortController().signal;

/** The first events of a follower, which then goes; fewer when it ends before. */
export async function firstEvents(
  batches: AsyncIterable<readonly StoreEvent[]>,
  count: number,
): Promise<StoreEvent[]> {
  const events: StoreEvent[] = [];
  const collect = async () => {
    for await (const batch of batches) {
      events.push(...batch);
      if (events.length >= count) break;
    }
    return events;
  };
  return within(collect(), () => `no more events than ${JSON.stringify(events)}`);
}

export async function collectAfter(
  store: PoolStore,
  cursor: EventCursor,
  count: number,
): Promise<StoreEvent[]> {
  return firstEvents(await store.follow(cursor, never), count);
}
