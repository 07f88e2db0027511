import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SystemClock } from '../../src/domain/clock.ts';
import { isWarmpoolError, WarmpoolError } from '../../src/domain/errors.ts';
import { MemoryPoolStore } from '../../src/store/memory/memory-pool-store.ts';
import { alice, never, plain, poolSpec, startCore } from '../support/core.ts';
import { FakeRuntime } from '../support/fake-runtime.ts';

test('a ready sandbox whose link drops leaves the pool at once and is replaced', async () => {
  await using core = await startCore({ pools: [poolSpec({ size: { minReady: 1 } })] });
  await core.until('base', (pool) => pool.ready === 1);
  const [lost] = core.runtime.objects.keys();
  assert.ok(lost);
  core.runtime.kill(lost);
  await core.until('base', (pool) => pool.ready === 1 && !core.runtime.objects.has(lost));
  assert.equal((await core.store.get(lost, null))?.state, 'failed');
});

test('a claimed sandbox whose guest dies fails, with the reason, for its owner', async () => {
  await using core = await startCore();
  const { record } = await core.allocator.createSandbox(alice, plain, never);
  core.runtime.kill(record.id);
  await core.until('base', () => !core.runtime.objects.has(record.id));
  const failed = await core.allocator.getSandbox(alice, record.id);
  assert.equal(failed.state, 'failed');
  assert.match(failed.failure ?? '', /the guest died/);
  await assert.rejects(
    core.allocator.exec(
      alice,
      { sandboxId: record.id, argv: ['true'], env: {}, stdin: Buffer.alloc(0) },
      never,
    ),
    (error) => isWarmpoolError(error) && error.code === 'SANDBOX_FAILED',
  );
});

test('a sandbox counts as ready only after warmup and readiness commands have exited 0', async () => {
  const template = { warmup: [['true'], ['false']] };
  await using core = await startCore({ pools: [poolSpec({ template })] });
  const failed = await core.until('base', (pool) => pool.counters.startsFailed >= 1);
  assert.equal(failed.ready, 0);
  assert.ok(
    core.log.lines.some((line) =>
      /warmup command \["false"\] exited with 1/.test(JSON.stringify(line.fields).replaceAll('\\"', '"')),
    ),
  );
});

test('a boot that never becomes ready ends at its timeout and leaves nothing', async () => {
  const runtime = new FakeRuntime();
  runtime.onBoot = () => new Promise(() => {});
  const pools = [poolSpec({ size: { minReady: 0 }, template: { bootTimeoutMs: 50 } })];
  await using core = await startCore({ runtime, pools });
  await assert.rejects(
    core.allocator.createSandbox(alice, plain, never),
    (error) => isWarmpoolError(error) && error.code === 'BOOT_FAILED' && /0\.05 s/.test(error.message),
  );
  assert.equal(runtime.objects.size, 0);
  assert.equal((await core.until('base', (pool) => pool.live === 0)).starting, 0);
});

test('a boot that is out of time is said to be so, whatever its runtime says of being stopped', async () => {
  const runtime = new FakeRuntime();
  const boot = runtime.boot.bind(runtime);
  runtime.onBoot = () => new Promise(() => {});
  runtime.boot = (request, signal) =>
    boot(request, signal).catch(() => {
      throw new WarmpoolError('CANCELLED', 'the boot was aborted');
    });
  const pools = [poolSpec({ size: { minReady: 0 }, template: { bootTimeoutMs: 50 } })];
  await using core = await startCore({ runtime, pools });
  await assert.rejects(
    core.allocator.createSandbox(alice, plain, never),
    (error) => isWarmpoolError(error) && error.code === 'BOOT_FAILED' && /0\.05 s/.test(error.message),
  );
});

test('a create given up during its cold start stops the sandbox nobody could ask for', async () => {
  const runtime = new FakeRuntime();
  const booting = new Promise<void>((resolve) => {
    runtime.onBoot = () => {
      resolve();
      return new Promise(() => {});
    };
  });
  await using core = await startCore({ runtime, pools: [poolSpec({ size: { minReady: 0 } })] });
  const caller = new AbortController();
  const created = core.allocator.createSandbox(alice, plain, caller.signal);
  await booting;
  caller.abort();
  await assert.rejects(created, (error) => isWarmpoolError(error) && error.code === 'CANCELLED');
  await core.until('base', (pool) => pool.live === 0 && runtime.objects.size === 0);
});

/** Stands for Redis: its data outlives the process. */
class LastingStore extends MemoryPoolStore {
  override readonly storeId: string = 'lasting';
}

test('D16 D19 a drained node leaves claimed docker sandboxes running and the next one adopts them', async () => {
  await using store = new LastingStore({ clock: new SystemClock() });
  const runtime = new FakeRuntime({ survivesNode: true });
  let id: string;
  {
    await using core = await startCore({ runtime, store });
    id = (await core.allocator.createSandbox(alice, plain, never)).record.id;
    await core.until('base', (pool) => pool.ready === 2);
  }
  assert.deepEqual([...runtime.objects.keys()], [id]);
  await using core = await startCore({ runtime, store });
  const command = { sandboxId: id, argv: ['true'], env: {}, stdin: Buffer.alloc(0) };
  assert.equal((await core.allocator.exec(alice, command, never)).exitCode, 0);
});

test('D16 D19 a drained node whose store or runtime ends with it leaves nothing behind', async () => {
  await using store = new LastingStore({ clock: new SystemClock() });
  const runtime = new FakeRuntime({ survivesNode: false });
  let id: string;
  {
    await using core = await startCore({ runtime, store });
    id = (await core.allocator.createSandbox(alice, plain, never)).record.id;
  }
  assert.equal(runtime.objects.size, 0);
  const ended = await store.get(id, null);
  assert.deepEqual([ended?.state, ended?.endReason], ['stopped', 'node_drained']);
});

test('a miss takes over a refill in flight: it boots once, for its new owner, and stays his', async () => {
  const runtime = new FakeRuntime();
  let letBoot: () => void = () => {};
  const gate = new Promise<void>((resolve) => {
    letBoot = resolve;
  });
  runtime.onBoot = () => gate;
  await using core = await startCore({
    runtime,
    pools: [poolSpec({ size: { minReady: 1, maxIdleAgeMs: 20 } })],
  });
  await core.until('base', (pool) => pool.starting === 1 && runtime.boots === 1);
  const [booting] = runtime.objects.keys();
  const created = core.allocator.createSandbox(alice, plain, never);
  await core.until('base', (pool) => pool.starting === 0);
  letBoot();
  const { record } = await created;
  assert.deepEqual([record.id, record.launch, record.state], [booting, 'cold', 'running']);
  // Refills come and go by their idle age; the claimed one is none of them.
  await core.until('base', (pool) => pool.counters.startsWarm >= 4);
  assert.equal((await core.allocator.getSandbox(alice, record.id)).state, 'running');
});

test('D19 what could not be removed while the runtime was away is removed by the drain', async () => {
  class AwayRuntime extends FakeRuntime {
    away = false;

    override async destroy(sandboxId: string): Promise<void> {
      if (this.away) throw new Error('the engine does not answer');
      await super.destroy(sandboxId);
    }
  }
  const runtime = new AwayRuntime({ survivesNode: true });
  await using core = await startCore({ runtime, pools: [poolSpec({ size: { minReady: 0 } })] });
  const { record } = await core.allocator.createSandbox(alice, plain, never);
  runtime.away = true;
  runtime.kill(record.id);
  await core.until('base', (pool) => pool.live === 0);
  runtime.away = false;
  await core.node.drain();
  assert.equal(runtime.objects.size, 0);
});

test('a boot that failed says why, though what is left of it cannot be removed now', async () => {
  class StuckRuntime extends FakeRuntime {
    override async destroy(): Promise<void> {
      throw new Error('the engine does not answer');
    }
  }
  const template = { ready: { exec: ['false'] } };
  const pools = [poolSpec({ size: { minReady: 0 }, template })];
  await using core = await startCore({ runtime: new StuckRuntime(), pools });
  await assert.rejects(
    core.allocator.createSandbox(alice, plain, never),
    (error) => isWarmpoolError(error) && /ready command \["false"\] exited with 1/.test(error.message),
  );
});
