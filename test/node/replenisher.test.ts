import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SystemClock } from '../../src/domain/clock.ts';
import type { EndReason } from '../../src/domain/sandbox.ts';
import { MemoryPoolStore } from '../../src/store/memory/memory-pool-store.ts';
import type { StopTarget, TransitionAnswer } from '../../src/store/pool-store.ts';
import { alice, never, plain, poolSpec, startCore } from '../support/core.ts';
import { FakeRuntime } from '../support/fake-runtime.ts';

test('fills a pool to minReady at start and after each claim', async () => {
  await using core = await startCore();
  await core.until('base', (pool) => pool.ready === 2);
  const { record } = await core.allocator.createSandbox(alice, plain, never);
  assert.equal(record.launch, 'warm');
  const refilled = await core.until('base', (pool) => pool.ready === 2);
  assert.equal(refilled.live, 3);
});

test('D17 boots in flight count as ready: no more are started than are missing', async () => {
  const runtime = new FakeRuntime();
  let letBoot: () => void = () => {};
  const gate = new Promise<void>((resolve) => {
    letBoot = resolve;
  });
  runtime.onBoot = () => gate;
  await using core = await startCore({ runtime, pools: [poolSpec({ size: { minReady: 3 } })] });
  await core.until('base', (pool) => pool.starting >= 1);
  for (let round = 0; round < 20; round += 1) core.node.syncPools();
  letBoot();
  await core.until('base', (pool) => pool.ready === 3 && pool.starting === 0);
  assert.equal(runtime.boots, 3);
});

test('slow start: a template whose boots fail costs three boots, then the breaker closes', async () => {
  const runtime = new FakeRuntime();
  runtime.onBoot = async () => {
    throw new Error('no such file');
  };
  await using core = await startCore({ runtime, pools: [poolSpec({ size: { minReady: 8 } })] });
  await core.until('base', () => /boots fail; next try in \d+ s/.test(core.node.describePool('base').note));
  for (let round = 0; round < 20; round += 1) core.node.syncPools();
  await core.until('base', (pool) => pool.starting === 0);
  assert.equal(runtime.boots, 3);
});

test('recycles a ready sandbox that has been idle for longer than maxIdleAge', async () => {
  await using core = await startCore({ pools: [poolSpec({ size: { minReady: 1, maxIdleAgeMs: 50 } })] });
  const first = await core.until('base', (pool) => pool.ready === 1);
  assert.equal(first.counters.startsWarm, 1);
  await core.until('base', (pool) => pool.counters.startsWarm >= 2 && pool.ready === 1);
  await core.until('base', (pool) => pool.live === 1 && core.runtime.objects.size === 1);
});

test('retires what is too many after a pool was scaled down, and never a claimed sandbox', async () => {
  await using core = await startCore({ pools: [poolSpec({ size: { minReady: 4 } })] });
  await core.until('base', (pool) => pool.ready === 4);
  const { record } = await core.allocator.createSandbox(alice, plain, never);
  await core.until('base', (pool) => pool.ready === 4);
  await core.allocator.scalePool(alice, 'base', { minReady: 0 });
  await core.until('base', (pool) => pool.ready === 0 && pool.live === 1);
  assert.equal((await core.allocator.getSandbox(alice, record.id)).state, 'running');
});

test('a cold start that runs is not taken for a surplus ready sandbox', async () => {
  await using core = await startCore({ pools: [poolSpec({ size: { minReady: 0, maxIdleAgeMs: 20 } })] });
  const { record } = await core.allocator.createSandbox(alice, plain, never);
  assert.equal(record.launch, 'cold');
  const start = performance.now();
  await core.until('base', () => {
    core.node.syncPools();
    return performance.now() - start > 100;
  });
  assert.equal((await core.allocator.getSandbox(alice, record.id)).state, 'running');
});

test('misses that take over a refill and are given up do not count as failed boots', async () => {
  const runtime = new FakeRuntime();
  runtime.onBoot = () => new Promise(() => {});
  await using core = await startCore({ runtime, pools: [poolSpec({ size: { minReady: 1 } })] });
  const notes = new Set<string>();
  for (let round = 0; round < 4; round += 1) {
    await core.until('base', (pool) => pool.starting === 1);
    const caller = new AbortController();
    const created = core.allocator.createSandbox(alice, plain, caller.signal);
    await core.until('base', (pool) => pool.starting === 0);
    caller.abort();
    await assert.rejects(created);
    await core.until('base', (pool) => {
      notes.add(core.node.describePool('base').note);
      return pool.starting === 1;
    });
  }
  assert.deepEqual([...notes], ['']);
});

test('a pool goes on saying that its boots fail while the next one is tried', async () => {
  const runtime = new FakeRuntime();
  let letBoot: () => void = () => {};
  const gate = new Promise<void>((resolve) => {
    letBoot = resolve;
  });
  runtime.onBoot = () => (runtime.boots === 1 ? Promise.reject(new Error('no such file')) : gate);
  await using core = await startCore({ runtime, pools: [poolSpec({ size: { minReady: 1 } })] });
  await core.until('base', (pool) => pool.counters.startsFailed === 1 && pool.starting === 1);
  await core.until('base', () => runtime.boots === 2);
  core.node.syncPools();
  let looks = 0;
  await core.until('base', () => {
    looks += 1;
    return looks > 2;
  });
  assert.match(core.node.describePool('base').note, /boot failed/);
  letBoot();
  await core.until('base', (pool) => pool.ready === 1);
  await core.until('base', () => core.node.describePool('base').note === '');
});

test('a claimed sandbox is tried for retiring once, not at every pass', async () => {
  const clock = new SystemClock();
  await using store = new CountingStore({ clock });
  const pools = [poolSpec({ size: { minReady: 1, maxIdleAgeMs: 1 } })];
  await using core = await startCore({ store, pools });
  const { record } = await core.allocator.createSandbox(alice, plain, never);
  await core.until('base', (pool) => pool.counters.startsWarm >= 8);
  const tries = store.stops.filter((id) => id === record.id).length;
  assert.ok(tries <= 1, `${tries} tries`);
});

/** Notes what is asked to stop. */
class CountingStore extends MemoryPoolStore {
  readonly stops: string[] = [];

  override beginStop(target: StopTarget, reason: EndReason): Promise<TransitionAnswer> {
    this.stops.push(target.id);
    return super.beginStop(target, reason);
  }
}
