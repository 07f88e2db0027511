import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SystemClock } from '../../src/domain/clock.ts';
import { WarmpoolError } from '../../src/domain/errors.ts';
import { type StoreVerb, storeVerbs } from '../../src/observability/metrics.ts';
import { measuredPoolStore } from '../../src/store/measured-pool-store.ts';
import { MemoryPoolStore } from '../../src/store/memory/memory-pool-store.ts';
import type { PoolStore } from '../../src/store/pool-store.ts';

class Counts {
  readonly answered: StoreVerb[] = [];
  readonly failed: StoreVerb[] = [];

  storeAnswered(verb: StoreVerb, seconds: number): void {
    assert.ok(seconds >= 0 && seconds < 10);
    this.answered.push(verb);
  }

  storeFailed(verb: StoreVerb): void {
    this.failed.push(verb);
  }
}

test('every verb that is counted is one of the port', () => {
  const verbs: readonly (keyof PoolStore)[] = storeVerbs;
  const store = new MemoryPoolStore({ clock: new SystemClock() });
  for (const verb of verbs) assert.equal(typeof store[verb], 'function');
});

test('commands are counted and answer as without counting; other members pass through', async () => {
  const counts = new Counts();
  const inner = new MemoryPoolStore({ clock: new SystemClock() });
  await using store = measuredPoolStore(inner, counts);
  await store.open();
  assert.equal(store.storeId, inner.storeId);
  assert.deepEqual(store.health(), inner.health());
  assert.equal(await store.readPool('none'), null);
  assert.deepEqual(await store.due(10), []);
  assert.deepEqual(counts.answered, ['readPool', 'due']);
  assert.deepEqual(counts.failed, []);
});

test('a command with no known outcome is counted as failed, and its error passes on', async () => {
  const counts = new Counts();
  const inner = new MemoryPoolStore({ clock: new SystemClock() });
  const away = new WarmpoolError('STORE_UNAVAILABLE', 'away');
  inner.readPool = () => Promise.reject(away);
  const store = measuredPoolStore(inner, counts);
  await assert.rejects(store.readPool('base'), away);
  assert.deepEqual(counts.failed, ['readPool']);
});
