import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SystemClock } from '../../src/domain/clock.ts';
import { WarmpoolError } from '../../src/domain/errors.ts';
import { MemoryPoolStore } from '../../src/store/memory/memory-pool-store.ts';
import type { ClaimAnswer, ClaimRequest } from '../../src/store/pool-store.ts';
import { alice, never, plain, poolSpec, startCore } from '../support/core.ts';

/** A store to do something around a claim. */
class WatchedStore extends MemoryPoolStore {
  claims = 0;
  beforeClaim: () => void = () => {};
  afterClaim: () => void = () => {};

  override async claim(request: ClaimRequest): Promise<ClaimAnswer> {
    this.claims += 1;
    this.beforeClaim();
    const answer = await super.claim(request);
    this.afterClaim();
    return answer;
  }
}

test('a sandbox claimed for a caller who left meanwhile is ended, unless a request id can ask for it again', async () => {
  await using store = new WatchedStore({ clock: new SystemClock() });
  await using core = await startCore({ store });
  for (const request of [plain, { ...plain, requestId: 'mine' }]) {
    await core.until('base', (pool) => pool.ready === 2);
    const caller = new AbortController();
    store.afterClaim = () => caller.abort();
    await assert.rejects(core.allocator.createSandbox(alice, request, caller.signal), { code: 'CANCELLED' });
    store.afterClaim = () => {};
    const left = request === plain ? 0 : 1;
    await core.until('base', (pool) => pool.ready === 2 && pool.live === 2 + left);
  }
  const again = await core.allocator.createSandbox(alice, { ...plain, requestId: 'mine' }, never);
  assert.deepEqual([again.repeated, again.record.state], [true, 'running']);
});

test('a caller who leaves while waiting for the pool takes nothing', async () => {
  await using store = new WatchedStore({ clock: new SystemClock() });
  await using core = await startCore({ store, pools: [poolSpec({ size: { minReady: 0 } })] });
  const caller = new AbortController();
  const created = core.allocator.createSandbox(alice, { ...plain, waitMs: 20_000 }, caller.signal);
  await core.until('base', (pool) => pool.counters.missesEmpty === 1);
  caller.abort();
  await assert.rejects(created, { code: 'CANCELLED' });
  assert.equal(store.claims, 1);
});

test('a wait for the pool outlasts a moment without the store', async () => {
  await using store = new WatchedStore({ clock: new SystemClock() });
  await using core = await startCore({ store, pools: [poolSpec({ size: { minReady: 0 } })] });
  const created = core.allocator.createSandbox(alice, { ...plain, waitMs: 20_000 }, never);
  await core.until('base', (pool) => pool.counters.missesEmpty === 1);
  let failures = 1;
  store.beforeClaim = () => {
    failures -= 1;
    if (failures >= 0) throw new WarmpoolError('STORE_UNAVAILABLE', 'gone');
  };
  await core.allocator.scalePool(alice, 'base', { minReady: 1 });
  assert.equal((await created).record.state, 'running');
  assert.ok(failures < 0);
});
