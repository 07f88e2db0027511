import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Deferred } from '../../src/deferred.ts';
import { SystemClock } from '../../src/domain/clock.ts';
import { WarmpoolError } from '../../src/domain/errors.ts';
import type { SandboxRecord } from '../../src/domain/sandbox.ts';
import { MemoryPoolStore } from '../../src/store/memory/memory-pool-store.ts';
import type { ClaimRequest, PoolStore } from '../../src/store/pool-store.ts';
import { alice, never, plain, poolSpec, startCore } from '../support/core.ts';
import { FakeRuntime } from '../support/fake-runtime.ts';
import { overriding } from '../support/overriding.ts';
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

test('I10 boots that end while the store is away are kept, and fill the pool when it is back', async () => {
  const runtime = new FakeRuntime();
  const hold = new Deferred<void>();
  runtime.onBoot = () => hold.promise;
  const leaving = leavingStore();
  const pools = [poolSpec({ size: { minReady: 2, startsInFlightMax: 2 } })];
  await using core = await startCore({ runtime, store: leaving.store, pools });
  await until(() => runtime.boots > 0, 'a boot in flight');
  const [kept] = runtime.objects.keys();
  leaving.away = true;
  hold.resolve();
  // The report is repeated for some seconds; then it is left to the reconciler.
  await until(
    () => core.log.lines.some((line) => /could not be told that a sandbox is up/.test(line.message)),
    'the node to give up telling',
  );
  leaving.away = false;
  const full = await core.until('base', (pool) => pool.ready === 2 && pool.starting === 0);
  assert.equal(full.live, 2);
  assert.equal(runtime.objects.size, 2);
  assert.ok(kept !== undefined && runtime.objects.has(kept));
});

test('I5 a sandbox that is claimed before its node has heard that it is ready is kept', async () => {
  const inner = new MemoryPoolStore({ clock: new SystemClock() });
  const claimed: SandboxRecord[] = [];
  // The first report arrives, and a claim takes what it has made ready; the answer to the report is lost.
  const reportReady: PoolStore['reportReady'] = async (fence) => {
    const answer = await inner.reportReady(fence);
    if (claimed.length > 0 || answer.kind !== 'done') return answer;
    const claim = await inner.claim(claimOf(alice.tenant));
    if (claim.kind === 'claimed') claimed.push(claim.record);
    throw new WarmpoolError('STORE_UNAVAILABLE', 'the answer was lost');
  };
  const store = overriding<PoolStore>(inner, { reportReady });
  const pools = [poolSpec({ size: { minReady: 1 } })];
  await using core = await startCore({ store, pools });
  await core.until('base', (pool) => pool.ready === 1 && claimed.length === 1);
  const [record] = claimed;
  assert.ok(record);
  await until(
    () => core.runtime.guests.has(record.id) && core.node.guest(record) !== null,
    () => `${record.id} to be up: ${JSON.stringify(core.log.lines.slice(-3))}`,
  );
});

test('I10 a sandbox of which the store never answers whether it is ready is kept for whoever has claimed it', async () => {
  const inner = new MemoryPoolStore({ clock: new SystemClock() });
  const claimed: SandboxRecord[] = [];
  let isAway = true;
  const reportReady: PoolStore['reportReady'] = async (fence) => {
    if (claimed.length === 0) {
      await inner.reportReady(fence);
      const claim = await inner.claim(claimOf(alice.tenant));
      if (claim.kind === 'claimed') claimed.push(claim.record);
    }
    if (isAway) throw new WarmpoolError('STORE_UNAVAILABLE', 'the answer was lost');
    return inner.reportReady(fence);
  };
  const store = overriding<PoolStore>(inner, { reportReady });
  const pools = [poolSpec({ size: { minReady: 1, startsInFlightMax: 1 } })];
  await using core = await startCore({ store, pools });
  await until(() => claimed.length === 1, 'a claim');
  const [record] = claimed;
  assert.ok(record);
  await until(
    () => core.node.guest(record) !== null,
    () => `${record.id} to be up: ${JSON.stringify(core.log.lines.slice(-3))}`,
  );
  isAway = false;
  assert.equal((await core.store.get(record.id, null))?.state, 'running');
  await core.until('base', (pool) => pool.ready === 1);
});

function claimOf(tenant: string): ClaimRequest {
  return {
    ...{ pool: 'base', tenant, requestId: 'made-before', bodyHash: '', claimId: 'claimedbeforetheword' },
    ...{ leaseTtlMs: 300_000, maxLifetimeMs: 86_400_000 },
    onExpiry: 'kill',
    customisation: { env: {}, metadata: {} },
    warm: true,
    cold: null,
  };
}

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
