import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SystemClock } from '../../src/domain/clock.ts';
import { WarmpoolError } from '../../src/domain/errors.ts';
import { deferred } from '../../src/guest-link/deferred.ts';
import { MemoryPoolStore } from '../../src/store/memory/memory-pool-store.ts';
import type { PoolStore } from '../../src/store/pool-store.ts';
import { alice, never, plain, poolSpec, startCore } from '../support/core.ts';
import { FakeRuntime } from '../support/fake-runtime.ts';
import { until } from '../support/until.ts';

/** A store that goes away and comes back with all it knew, as Redis behind a cut network does. */
function leavingStore(): { readonly store: PoolStore; away: boolean } {
  const state = { away: false, store: new MemoryPoolStore({ clock: new SystemClock() }) as PoolStore };
  const staysThere = new Set<PropertyKey>(['open', 'follow', Symbol.asyncDispose]);
  const store = new Proxy(state.store, {
    get(target, verb) {
      const member: unknown = Reflect.get(target, verb, target);
      if (typeof member !== 'function') return member;
      if (verb === 'health') return () => ({ ...target.health(), healthy: !state.away });
      return (...args: unknown[]) => {
        if (state.away && !staysThere.has(verb))
          return Promise.reject(new WarmpoolError('STORE_UNAVAILABLE', 'the store does not answer'));
        return Reflect.apply(member, target, args);
      };
    },
  });
  return Object.assign(state, { store });
}

test('D14 boots that end while the store is away leave no object, and the pool fills when it is back', async () => {
  const runtime = new FakeRuntime();
  const hold = deferred<void>();
  runtime.onBoot = () => hold.promise;
  const leaving = leavingStore();
  const pools = [poolSpec({ size: { minReady: 2, startsInFlightMax: 2 } })];
  await using core = await startCore({ runtime, store: leaving.store, pools });
  await until(() => runtime.boots > 0, 'a boot in flight');
  leaving.away = true;
  hold.resolve();
  // The report is repeated for some seconds; then what nobody can know of must go.
  await until(() => runtime.objects.size === 0, 'the object to go');
  leaving.away = false;
  const full = await core.until('base', (pool) => pool.ready === 2 && pool.starting === 0);
  assert.equal(full.live, 2);
  assert.equal(runtime.objects.size, 2);
  const { record } = await core.allocator.createSandbox(alice, plain, never);
  assert.ok(runtime.objects.has(record.id));
});

test('a full pool outlives an outage of the store: the same sandboxes are handed out afterwards', async () => {
  const runtime = new FakeRuntime();
  const leaving = leavingStore();
  await using core = await startCore({ runtime, store: leaving.store });
  await core.until('base', (pool) => pool.ready === 2);
  const before = [...runtime.objects.keys()].sort();
  leaving.away = true;
  const failed = core.allocator.createSandbox(alice, plain, never);
  await assert.rejects(
    failed,
    (error) => error instanceof WarmpoolError && error.code === 'STORE_UNAVAILABLE',
  );
  await until(
    () => core.log.lines.some((line) => /heartbeat did not reach/.test(line.message)),
    'the node to notice',
  );
  leaving.away = false;
  assert.deepEqual([...runtime.objects.keys()].sort(), before);
  const { record } = await core.allocator.createSandbox(alice, plain, never);
  assert.ok(before.includes(record.id));
});
