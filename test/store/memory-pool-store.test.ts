import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SystemClock } from '../../src/domain/clock.ts';
import { MemoryPoolStore } from '../../src/store/memory/memory-pool-store.ts';
import { ManualClock } from '../guest-link/manual-clock.ts';
import { fence, hourMs, StoreScenario } from '../support/store-scenario.ts';
import { storeContract } from './contract.ts';

storeContract({
  name: 'memory',
  skip: false,
  open: async () => new MemoryPoolStore({ clock: new SystemClock() }),
});

test('memory: one that was deleted is forgotten after ten minutes, one whose time was up after an hour', async () => {
  const clock = new ManualClock();
  await using store = new MemoryPoolStore({ clock });
  const scenario = new StoreScenario(store);
  await scenario.declare();
  const [expired, deleted] = [await scenario.claimed(), await scenario.claimed()];
  clock.advance(60_000);
  for (const { id, incarnation } of await store.due(10)) {
    if (id === expired.id) await store.expire(id, incarnation);
  }
  await store.beginStop({ id: deleted.id, tenant: 'alice' }, 'deleted');
  for (const each of [expired, deleted]) await store.finishStop(fence(each));

  const states = async () =>
    Promise.all([expired, deleted].map(async ({ id }) => (await store.get(id, 'alice'))?.state));
  clock.advance(hourMs / 6 - 1);
  assert.deepEqual(await states(), ['stopped', 'stopped']);
  clock.advance(1);
  assert.deepEqual(await states(), ['stopped', undefined]);
  clock.advance((hourMs * 5) / 6 - 1);
  assert.deepEqual(await states(), ['stopped', undefined]);
  clock.advance(1);
  assert.deepEqual(await states(), [undefined, undefined]);
});
