import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { Reaper } from '../../src/allocator/reaper.ts';
import { WarmpoolError } from '../../src/domain/errors.ts';
import type { EndReason } from '../../src/domain/sandbox.ts';
import { MemoryPoolStore } from '../../src/store/memory/memory-pool-store.ts';
import { ManualClock } from '../guest-link/manual-clock.ts';
import { SilentLog } from '../support/silent-log.ts';
import { StoreScenario } from '../support/store-scenario.ts';

/** A store with records that it cannot judge, and an index that was out of step. */
class WornStore extends MemoryPoolStore {
  readonly damaged = new Set<string>();
  away = false;
  heals = 0;

  override async expire(id: string, incarnation: number) {
    if (this.away) throw new WarmpoolError('STORE_UNAVAILABLE', 'the store does not answer');
    if (this.damaged.has(id)) throw new WarmpoolError('INTERNAL', 'the stored record is damaged');
    return super.expire(id, incarnation);
  }

  override async healIndexes() {
    this.heals += 1;
    return { readded: 2, dropped: 1 };
  }
}

/** Stands for Redis. */
class LastingStore extends WornStore {
  override readonly storeId: string = 'lasting';
}

async function setUp(Store = WornStore) {
  const clock = new ManualClock();
  const store = new Store({ clock });
  const log = new SilentLog();
  const ended: EndReason[] = [];
  const healed: number[] = [];
  const observer = {
    sandboxEnded: (reason: EndReason) => void ended.push(reason),
    indexHealed: (count: number) => void healed.push(count),
    nodeLost: () => {},
  };
  const reaper = new Reaper({ store, clock, observer, log, onEnding: () => {} });
  const scenario = new StoreScenario(store);
  await scenario.declare();
  return { clock, store, log, ended, healed, reaper, scenario };
}

test('D12 damaged records, however many and however long due, keep no other from ending, and are told about once', async () => {
  const { clock, store, log, ended, reaper, scenario } = await setUp();
  for (let made = 0; made < 100; made += 1) {
    store.damaged.add((await scenario.starting({ bootTimeoutMs: 1_000 })).id);
  }
  clock.advance(10);
  const sound = await scenario.reserve({ bootTimeoutMs: 1_000 });
  assert.equal(sound.kind, 'refused');
  await scenario.declare({ minReady: 200, maxReady: 200, startsInFlightMax: 200 });
  const { id } = await scenario.starting({ bootTimeoutMs: 1_000 });
  clock.advance(5_000);
  await reaper.pass();
  await reaper.pass();
  assert.equal((await store.get(id, null))?.state, 'failed');
  assert.deepEqual(ended, ['boot_timeout']);
  await reaper.pass();
  assert.equal(log.lines.filter((line) => line.level === 'error').length, 100);
});

test('D12 a store that is away ends the pass, and the next one goes on', async () => {
  const { clock, store, ended, reaper, scenario } = await setUp();
  await scenario.starting({ bootTimeoutMs: 1_000 });
  clock.advance(5_000);
  store.away = true;
  await assert.rejects(reaper.pass(), /does not answer/);
  store.away = false;
  await reaper.pass();
  assert.deepEqual(ended, ['boot_timeout']);
});

test('I10 a store that has restarted is given time to hear what it forgot before a lease is ended', async () => {
  const { clock, store, ended, reaper, scenario } = await setUp();
  await reaper.pass();
  await scenario.starting({ bootTimeoutMs: 1_000 });
  clock.advance(5_000);
  const health = { healthy: true, sinceMs: 0, runId: 'another' };
  store.health = () => health;
  await reaper.pass();
  clock.advance(9_000);
  await reaper.pass();
  assert.deepEqual(ended, []);
  clock.advance(1_000);
  await reaper.pass();
  assert.deepEqual(ended, ['boot_timeout']);
});

test('I10 the first answer of a store that is older than this process ends nothing either: it may have been put back', async () => {
  const { clock, ended, reaper, scenario } = await setUp(LastingStore);
  await scenario.starting({ bootTimeoutMs: 1_000 });
  clock.advance(5_000);
  await reaper.pass();
  clock.advance(9_000);
  await reaper.pass();
  assert.deepEqual(ended, []);
  clock.advance(1_000);
  await reaper.pass();
  assert.deepEqual(ended, ['boot_timeout']);
});

test('D20 a reaping pass ends though a whole batch of candidates never leaves the list', async () => {
  const due = Array.from({ length: 100 }, (_, index) => ({ id: `candidate-${index}`, incarnation: 1 }));
  let looks = 0;
  const clock = new ManualClock();
  class StuckStore extends MemoryPoolStore {
    override async due() {
      looks += 1;
      if (looks > 5) throw new Error('asked again and again for what it cannot end');
      return due;
    }

    override async expire() {
      return { kind: 'not_due' as const, remainingMs: 1_000 };
    }
  }
  const reaper = new Reaper({
    store: new StuckStore({ clock }),
    clock,
    observer: { sandboxEnded: () => {}, indexHealed: () => {}, nodeLost: () => {} },
    log: new SilentLog(),
    onEnding: () => {},
  });
  await reaper.pass();
  assert.equal(looks, 1);
});

test('D5 the indexes are healed every five minutes, and what was healed is counted and told', async () => {
  const { clock, store, log, healed, reaper } = await setUp();
  reaper.start();
  for (let second = 0; second < 299; second += 1) {
    await turn();
    clock.advance(1_000);
  }
  assert.equal(store.heals, 0);
  for (let second = 0; second < 301; second += 1) {
    await turn();
    clock.advance(1_000);
  }
  await turn();
  assert.equal(store.heals, 2);
  assert.deepEqual(healed, [3, 3]);
  assert.ok(log.lines.some((line) => /was healed/.test(line.message)));
  await reaper[Symbol.asyncDispose]();
  assert.equal(clock.timers, 0);
});
