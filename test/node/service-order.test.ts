import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SystemClock } from '../../src/domain/clock.ts';
import { isWarmpoolError } from '../../src/domain/errors.ts';
import { MemoryPoolStore } from '../../src/store/memory/memory-pool-store.ts';
import { alice, never, plain, poolSpec, startCore } from '../support/core.ts';
import { FakeRuntime } from '../support/fake-runtime.ts';
import { until } from '../support/until.ts';

type Core = Awaited<ReturnType<typeof startCore>>;

/** Stands for Redis: a store that the nodes of one fleet meet in. */
class LastingStore extends MemoryPoolStore {
  override readonly storeId: string = 'lasting';
}

const pools = [poolSpec({ size: { minReady: 4, maxReady: 8, maxTotal: 40 } })];

async function twoNodes(store: LastingStore) {
  const runtimes = { a: new FakeRuntime({ survivesNode: true }), b: new FakeRuntime({ survivesNode: true }) };
  const a = await startCore({ store, pools, runtime: runtimes.a, nodeId: 'node-a' });
  const b = await startCore({ store, pools, runtime: runtimes.b, nodeId: 'node-b' });
  return { a, b, runtimes };
}

function run(core: Core, sandboxId: string) {
  const request = { sandboxId, argv: ['true'], env: {}, stdin: new Uint8Array() };
  return core.allocator.exec(alice, request, never);
}

async function readyOf(store: MemoryPoolStore, nodeId: string): Promise<number> {
  return (await store.inventory(nodeId)).filter(({ state }) => state === 'ready').length;
}

test('D18 nothing of a cordoned node is handed out once the call is answered; what runs goes on, and the rest of the fleet fills the pool', async () => {
  await using store = new LastingStore({ clock: new SystemClock() });
  const { a, b } = await twoNodes(store);
  await using _a = a;
  await using _b = b;
  await a.until('base', ({ ready }) => ready === 4);
  await until(async () => (await readyOf(store, 'node-a')) > 0, 'a ready one on node-a');
  // One of them is somebody's.
  let mine = (await a.allocator.createSandbox(alice, plain, never)).record;
  while (mine.nodeId !== 'node-a') {
    await a.until('base', ({ ready }) => ready === 4);
    mine = (await a.allocator.createSandbox(alice, plain, never)).record;
  }
  await run(a, mine.id);

  const cordoned = await b.allocator.cordonNode(alice, 'node-a');
  assert.deepEqual([cordoned.state, cordoned.left?.ready], ['cordoned', 0]);
  await until(async () => (await b.store.nodes())[0]?.obeys === 'cordon', 'the node to say so');
  assert.equal(a.node.describePool('base').note, 'this node is cordoned');
  for (let count = 0; count < 6; count += 1) {
    await b.until('base', ({ ready }) => ready > 0);
    const { record } = await b.allocator.createSandbox(alice, plain, never);
    assert.equal(record.nodeId, 'node-b');
  }
  assert.equal((await run(a, mine.id)).exitCode, 0);
  assert.equal((await a.allocator.keepAlive(alice, mine.id, null)).state, 'running');

  // A restart does not undo it.
  const stayed = (await store.nodes()).find(({ nodeId }) => nodeId === 'node-a');
  assert.equal(stayed?.order?.kind, 'cordon');
  await a.allocator.uncordonNode(alice, 'node-a');
  await b.allocator.cordonNode(alice, 'node-b');
  await a.until('base', ({ ready }) => ready === 4);
  await until(async () => (await readyOf(store, 'node-a')) === 4, 'the pool to be filled by node-a');
});

test('a cordon holds over a restart of the node', async () => {
  await using store = new LastingStore({ clock: new SystemClock() });
  {
    await using core = await startCore({ store, pools });
    await core.until('base', ({ ready }) => ready === 4);
    await core.allocator.cordonNode(alice, 'node-a');
  }
  const listed = async () => {
    await using other = await startCore({ store, pools, nodeId: 'node-b' });
    return other.allocator.listNodes(alice);
  };
  const [stopped] = await listed();
  assert.deepEqual([stopped?.id, stopped?.state], ['node-a', 'stopped']);
  const runtime = new FakeRuntime();
  await using core = await startCore({ store, pools, runtime });
  await until(async () => (await core.allocator.getNode(alice, 'node-a')).state === 'cordoned', 'the cordon');
  await until(async () => (await store.nodes())[0]?.obeys === 'cordon', 'the node to obey');
  assert.equal(runtime.boots, 0);
  await core.allocator.uncordonNode(alice, 'node-a');
  await core.until('base', ({ ready }) => ready === 4);
});

test('a drain ends what still runs when its time is up, says why, and the node is drained', async () => {
  await using store = new LastingStore({ clock: new SystemClock() });
  const runtime = new FakeRuntime({ survivesNode: true });
  await using core = await startCore({ store, pools, runtime });
  await core.until('base', ({ ready }) => ready === 4);
  const { record } = await core.allocator.createSandbox(alice, plain, never);
  const session = await core.allocator.openSession(alice, record.id);
  const ends: string[] = [];
  session.watch({ onLease: () => {}, onEnd: ({ reason }) => ends.push(reason) });
  const draining = await core.allocator.drainNode(alice, 'node-a', null);
  assert.deepEqual([draining.state, draining.drainEndsInMs], ['draining', null]);
  await until(async () => (await store.nodes())[0]?.obeys === 'drain', 'the node to obey');
  const going = await core.allocator.getNode(alice, 'node-a');
  assert.deepEqual([going.state, going.left?.running, going.left?.ready], ['draining', 1, 0]);
  assert.equal((await run(core, record.id)).exitCode, 0);

  await core.allocator.drainNode(alice, 'node-a', 0);
  const isDrained = async () => (await core.allocator.getNode(alice, 'node-a')).state === 'drained';
  await until(isDrained, 'the drain to come to its end');
  const ended = await store.get(record.id, 'alice');
  assert.deepEqual([ended?.state, ended?.endReason], ['stopped', 'node_drained']);
  assert.deepEqual(ends, ['node_drained']);
  assert.equal(runtime.objects.size, 0);
  assert.deepEqual(await store.inventory('node-a'), []);
});

test('only a node that is there can be ordered', async () => {
  await using core = await startCore({ pools });
  const isUnknown = (error: unknown) => isWarmpoolError(error) && error.code === 'NODE_NOT_FOUND';
  await assert.rejects(core.allocator.getNode(alice, 'node-x'), isUnknown);
  await assert.rejects(core.allocator.cordonNode(alice, 'node-x'), isUnknown);
  await assert.rejects(core.allocator.uncordonNode(alice, 'node-x'), isUnknown);
  await assert.rejects(core.allocator.drainNode(alice, 'node-x', 0), isUnknown);
});

test('D19 T15 a node whose process is asked to end says so at once, takes no starts and no first uses, and lets used ones go on', async () => {
  await using store = new LastingStore({ clock: new SystemClock() });
  const runtime = new FakeRuntime({ survivesNode: true });
  await using core = await startCore({ store, pools, runtime });
  await core.until('base', ({ ready }) => ready === 4);
  const used = (await core.allocator.createSandbox(alice, plain, never)).record;
  await run(core, used.id);
  const unused = (await core.allocator.createSandbox(alice, plain, never)).record;
  await core.node.leave();
  const [node] = await store.nodes();
  assert.equal(node?.draining, true);
  assert.equal((await core.allocator.getNode(alice, 'node-a')).state, 'shutting_down');
  assert.equal((await store.readPool('base'))?.ready, 0);
  const isLeaving = (error: unknown) => isWarmpoolError(error) && error.code === 'DRAINING';
  await assert.rejects(run(core, unused.id), isLeaving);
  assert.equal((await run(core, used.id)).exitCode, 0);
  // Placed here by an allocator that has not heard of it yet.
  const cold = await store.claim({
    pool: 'base',
    tenant: 'alice',
    requestId: 'late',
    bodyHash: '',
    claimId: 'late',
    leaseTtlMs: 60_000,
    maxLifetimeMs: 60_000,
    onExpiry: 'kill',
    customisation: { env: {}, metadata: {} },
    warm: false,
    cold: { id: used.id.slice(0, 2) + 'z'.repeat(18), nodeId: 'node-a', bootTimeoutMs: 60_000 },
  });
  assert.ok(cold.kind === 'starting');
  await until(
    async () => (await store.get(cold.record.id, null))?.state === 'failed',
    'the start to be refused',
  );
  assert.equal((await store.get(cold.record.id, null))?.endReason, 'node_drained');
});
