import assert from 'node:assert/strict';
import type { Clock } from '../../src/domain/clock.ts';
import { isWarmpoolError } from '../../src/domain/errors.ts';
import type { SandboxRecord } from '../../src/domain/sandbox.ts';
import type { PoolStore } from '../../src/store/pool-store.ts';
import { StoreScenario } from '../support/store-scenario.ts';

export interface RaceOptions {
  readonly leases: number;
  readonly ttlMs: number;
  /** How far from its deadline a lease is renewed, before and after. */
  readonly spreadMs: number;
  readonly random: () => number;
}

/**
 * T7: leases that are renewed at their deadline, against a reaper that thinks for a while between being told what is due and
 * acting on it. Whoever was told that it is renewed has it for a full term, by the clock of the store; everybody else is
 * told that it has ended; and every lease ends.
 */
export async function keepalivesAgainstReaper(
  deps: { store: PoolStore; clock: Clock },
  options: RaceOptions,
): Promise<{ renewed: number; refused: number }> {
  const { store, clock } = deps;
  const { leases, ttlMs, spreadMs, random } = options;
  const scenario = new StoreScenario(store);
  await scenario.declare({
    minReady: leases,
    maxReady: leases,
    maxTotal: 2 * leases,
    startsInFlightMax: leases,
  });
  const pause = (ms: number) => new Promise<void>((resolve) => void clock.after(ms, resolve));
  for (let made = 0; made < leases; made += 1) await scenario.ready();
  const insist = <T>(step: () => Promise<T>) => insisting(step, pause);
  const records: SandboxRecord[] = [];
  const claimer = async () => {
    while (records.length < leases) {
      const request = scenario.request({ leaseTtlMs: ttlMs });
      const answer = await insist(() => store.claim(request));
      if (answer.kind !== 'claimed') return;
      records.push(answer.record);
    }
  };
  await Promise.all(Array.from({ length: claimersAtOnce }, claimer));
  assert.equal(records.length, leases);

  const ended = new Map<string, number>();
  const reaper = (async () => {
    while (ended.size < leases) {
      const due = await insist(() => store.due(200));
      await pause(5);
      for (const { id, incarnation } of due) {
        const answer = await insist(() => store.expire(id, incarnation));
        if (answer.kind === 'done' && !ended.has(id)) ended.set(id, clock.monotonicMs());
      }
      await pause(1);
    }
  })();
  let renewed = 0;
  let refused = 0;
  const promised = new Map<string, number>();
  await Promise.all(
    records.map(async ({ id, lease }) => {
      await pause(Math.max(0, (lease?.remainingMs ?? 0) - spreadMs + random() * 2 * spreadMs));
      let sentMs = 0;
      const answer = await insist(() => {
        sentMs = clock.monotonicMs();
        return store.renew({ id, tenant: 'alice' }, ttlMs, 'extend');
      });
      if (answer.kind === 'done') {
        renewed += 1;
        promised.set(id, sentMs + ttlMs);
      } else {
        refused += 1;
        assert.deepEqual(answer, { kind: 'refused', why: 'wrong_state', state: 'stopping' });
      }
    }),
  );
  await reaper;
  for (const [id, untilMs] of promised) {
    // Whole milliseconds of one clock beside fractions of another.
    const earlyMs = untilMs - 2 - (ended.get(id) ?? Number.POSITIVE_INFINITY);
    assert.ok(earlyMs <= 0, `${id} was ended ${earlyMs} ms before the end of its renewed lease`);
  }
  return { renewed, refused };
}

/** A store that is asked by thousands at once may take longer than a command may; every verb may be repeated. */
async function insisting<T>(step: () => Promise<T>, pause: (ms: number) => Promise<void>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await step();
    } catch (error) {
      const isUnknown = isWarmpoolError(error) && error.code === 'STORE_UNAVAILABLE';
      if (!isUnknown || attempt === attemptsMax) throw error;
      await pause(100);
    }
  }
}

const attemptsMax = 100;
const claimersAtOnce = 32;

/**
 * The same without any clock: what the reaper was told to be due is renewed, half of it, before it acts. So the step that
 * ends a lease must look again.
 */
export async function renewedBetweenLookAndStep(store: PoolStore, leases: number): Promise<void> {
  const scenario = new StoreScenario(store, 'looked-at');
  await scenario.declare({
    minReady: leases,
    maxReady: leases,
    maxTotal: 2 * leases,
    startsInFlightMax: leases,
  });
  for (let made = 0; made < leases; made += 1) await scenario.claimed({ leaseTtlMs: 1 });
  let due = await store.due(leases);
  while (due.length < leases) due = await store.due(leases);
  const kept = new Set(due.filter((_, index) => index % 2 === 0).map(({ id }) => id));
  for (const id of kept) {
    const answer = await store.renew({ id, tenant: 'alice' }, 600_000, 'extend');
    assert.equal(answer.kind, 'done', 'one that has passed and was not reaped may be renewed');
  }
  for (const { id, incarnation } of due) {
    const answer = await store.expire(id, incarnation);
    assert.equal(answer.kind, kept.has(id) ? 'not_due' : 'done');
    assert.equal((await store.get(id, 'alice'))?.state, kept.has(id) ? 'running' : 'stopping');
  }
}
