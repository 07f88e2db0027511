import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SystemClock } from '../../src/domain/clock.ts';
import { WarmpoolError } from '../../src/domain/errors.ts';
import { PoolCatalog } from '../../src/domain/pool-catalog.ts';
import type { EndReason } from '../../src/domain/sandbox.ts';
import { NodePools } from '../../src/node/node-pools.ts';
import { MemoryPoolStore } from '../../src/store/memory/memory-pool-store.ts';
import type { StopTarget, TransitionAnswer } from '../../src/store/pool-store.ts';
import { alice, never, plain, poolSpec, startCore } from '../support/core.ts';
import { FakeRuntime } from '../support/fake-runtime.ts';
import { until } from '../support/until.ts';

/** Stands for Redis: it outlives the process, and may be away. */
class FlakyStore extends MemoryPoolStore {
  override readonly storeId: string = 'lasting';
  refusals = 0;

  override beginStop(target: StopTarget, reason: EndReason): Promise<TransitionAnswer> {
    if (this.refusals > 0) {
      this.refusals -= 1;
      return Promise.reject(new WarmpoolError('STORE_UNAVAILABLE', 'gone'));
    }
    return super.beginStop(target, reason);
  }
}

test('the ready sandboxes of a removed pool go, though the store was away when it was removed', async () => {
  await using store = new FlakyStore({ clock: new SystemClock() });
  await using core = await startCore({ store });
  const { record } = await core.allocator.createSandbox(alice, plain, never);
  await core.until('base', (pool) => pool.ready === 2);
  store.refusals = 1;
  core.catalog.replace([]);
  core.node.syncPools();
  await until(() => core.runtime.objects.size === 1, 'only the claimed one is left');
  assert.ok(core.runtime.objects.has(record.id));
});

test('the ready sandboxes of a pool that was removed between two runs go at the next start', async () => {
  await using store = new FlakyStore({ clock: new SystemClock() });
  const runtime = new FakeRuntime({ survivesNode: true });
  {
    await using core = await startCore({ store, runtime });
    await core.until('base', (pool) => pool.ready === 2);
    // Ends as with kill -9: the store refuses the stops of both, when the node leaves and when it drains.
    store.refusals = 4;
  }
  assert.equal(runtime.objects.size, 2);
  await using _core = await startCore({
    store,
    runtime,
    pools: [poolSpec({ name: 'other', size: { minReady: 0 } })],
  });
  await until(() => runtime.objects.size === 0, 'nothing of the removed pool is left');
});

test('a runtime that no pool uses any more is still looked after', () => {
  const docker = new FakeRuntime();
  const pools = new NodePools(new PoolCatalog([]), new Map([['base', docker]]));
  pools.replaceRuntimes(new Map());
  assert.deepEqual(pools.runtimes(), [docker]);
});
