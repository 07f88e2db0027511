import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SystemClock } from '../../src/domain/clock.ts';
import { isWarmpoolError } from '../../src/domain/errors.ts';
import type { SandboxRecord } from '../../src/domain/sandbox.ts';
import { MemoryPoolStore } from '../../src/store/memory/memory-pool-store.ts';
import { alice, never, plain, poolSpec, startCore } from '../support/core.ts';
import { FakeRuntime } from '../support/fake-runtime.ts';
import { JournalFolder } from '../support/temporary-journal.ts';
import { until } from '../support/until.ts';

type Core = Awaited<ReturnType<typeof startCore>>;

/** Stands for Redis. */
class LastingStore extends MemoryPoolStore {
  override readonly storeId: string = 'lasting';
}

function run(core: Core, sandboxId: string) {
  const request = { sandboxId, argv: ['true'], env: {}, stdin: new Uint8Array() };
  return core.allocator.exec(alice, request, never);
}

/** As an allocator does that has not heard of the node for the timeout. */
async function lose(store: MemoryPoolStore, { id, nodeId, incarnation }: SandboxRecord): Promise<void> {
  const answer = await store.reportFailed({ id, nodeId, incarnation }, 'node_lost', 'the node was lost');
  assert.equal(answer.kind, 'done');
}

test('D9 a node that comes back after it was declared lost ends what its owners were told has failed, whatever its journal says', async () => {
  await using store = new LastingStore({ clock: new SystemClock() });
  using folder = new JournalFolder();
  const runtime = new FakeRuntime({ survivesNode: true });
  const pools = [poolSpec({ size: { minReady: 2 } })];
  let used: SandboxRecord;
  {
    await using core = await startCore({ store, runtime, pools, journalPath: folder.file });
    used = (await core.allocator.createSandbox(alice, plain, never)).record;
    await run(core, used.id);
  }
  assert.ok(runtime.objects.get(used.id)?.running, 'it outlives its node');
  await lose(store, used);
  await using core = await startCore({ store, runtime, pools, journalPath: folder.file });
  await until(() => !runtime.objects.has(used.id), 'the zombie to be ended');
  await until(
    async () => (await store.list({ tenant: 'alice', pageSize: 10 })).records.length === 0,
    'the list',
  );
  const record = await store.get(used.id, 'alice');
  assert.deepEqual([record?.state, record?.endReason], ['failed', 'node_lost']);
  assert.equal(core.journal.of(used.id), null);
  await assert.rejects(
    run(core, used.id),
    (error) => isWarmpoolError(error) && error.code === 'SANDBOX_FAILED',
  );
});

test('D9 a node that was only cut off ends them as soon as it hears of it', async () => {
  await using store = new LastingStore({ clock: new SystemClock() });
  const runtime = new FakeRuntime({ survivesNode: true });
  await using core = await startCore({ store, runtime });
  const { record } = await core.allocator.createSandbox(alice, plain, never);
  await run(core, record.id);
  await core.until('base', ({ ready }) => ready === 2);
  const [ready] = (await store.inventory('node-a')).filter(({ state }) => state === 'ready');
  assert.ok(ready);
  for (const each of [record, ready]) await lose(store, each);
  await until(() => !runtime.objects.has(record.id) && !runtime.objects.has(ready.id), 'both to be ended');
  await core.until('base', (pool) => pool.ready === 2);
});

test('a cold start whose node is lost is told so, counted as such, and may be repeated with the same request id', async () => {
  await using store = new LastingStore({ clock: new SystemClock() });
  const runtime = new FakeRuntime({ survivesNode: true });
  runtime.onBoot = () => new Promise(() => {});
  await using core = await startCore({ store, runtime, pools: [poolSpec({ size: { minReady: 0 } })] });
  const request = { ...plain, requestId: 'mine' };
  const creating = core.allocator.createSandbox(alice, request, never);
  const isReserved = async () => (await store.inventory('node-a')).length === 1;
  await until(isReserved, 'the cold start');
  const [cold] = await store.inventory('node-a');
  assert.ok(cold);
  runtime.onBoot = async () => {};
  await Promise.all([
    assert.rejects(creating, (error) => isWarmpoolError(error) && error.code === 'NODE_UNREACHABLE'),
    lose(store, cold),
  ]);
  assert.match(await core.observer.expose(), /^warmpool_claim_misses_total{cause="node_lost"} 1$/m);
  const { record } = await core.allocator.createSandbox(alice, request, never);
  assert.notEqual(record.id, cold.id);
});

test('T4 what is ready on a cordoned or leaving node, or has lost its guest, is never handed out, and is destroyed', async () => {
  await using store = new LastingStore({ clock: new SystemClock() });
  const pools = [poolSpec({ size: { minReady: 0, maxReady: 12, maxTotal: 100 } })];
  const runtimes = [0, 1, 2].map(() => new FakeRuntime({ survivesNode: true }));
  const [first, second, third] = runtimes;
  await using good = await startCore({ store, pools, nodeId: 'node-a', ...(first && { runtime: first }) });
  await using leaving = await startCore({
    store,
    pools,
    nodeId: 'node-b',
    ...(second && { runtime: second }),
  });
  await using cordoned = await startCore({
    store,
    pools,
    nodeId: 'node-c',
    ...(third && { runtime: third }),
  });
  // Each boots its share, now that all of them are there.
  await good.allocator.scalePool(alice, 'base', { minReady: 6 });
  await good.until('base', ({ ready }) => ready === 6);
  await good.allocator.cordonNode(alice, 'node-c');
  await leaving.node.leave();
  const dead = (await store.inventory('node-a')).filter(({ state }) => state === 'ready').slice(0, 2);
  for (const { id } of dead) first?.kill(id);
  const isKnown = async () => {
    const records = await Promise.all(dead.map(({ id }) => store.get(id, null)));
    return records.every((record) => record?.state !== 'ready');
  };
  await until(isKnown, 'the dead to leave the pool');
  for (let count = 0; count < 12; count += 1) {
    const { record } = await good.allocator.createSandbox(alice, plain, never);
    assert.equal(record.nodeId, 'node-a');
    assert.ok(dead.every(({ id }) => id !== record.id));
    assert.equal((await run(good, record.id)).exitCode, 0);
  }
  assert.equal(cordoned.runtime.objects.size + leaving.runtime.objects.size, 0);
});
