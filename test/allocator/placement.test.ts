import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Placement } from '../../src/allocator/placement.ts';
import { MemoryPoolStore } from '../../src/store/memory/memory-pool-store.ts';
import type { NodeStatus } from '../../src/store/pool-store.ts';
import { ManualClock } from '../guest-link/manual-clock.ts';
import { seededRandom } from '../support/random.ts';
import { SilentLog } from '../support/silent-log.ts';
import { until } from '../support/until.ts';

function statusOf(nodeId: string, change: Partial<NodeStatus> = {}): NodeStatus {
  return {
    nodeId,
    runtimes: ['docker'],
    pools: ['base'],
    draining: false,
    obeys: null,
    sandboxes: 0,
    capacity: 100,
    ...change,
  };
}

async function placementOver(statuses: readonly NodeStatus[], random?: () => number) {
  const clock = new ManualClock();
  const store = new MemoryPoolStore({ clock });
  const beat = async () => {
    for (const status of statuses) await store.heartbeat(status);
  };
  await beat();
  const placement = new Placement({ store, clock, log: new SilentLog(), ...(random && { random }) });
  await placement.start();
  return { clock, store, placement, beat };
}

/** How often each was chosen. */
function tally(placement: Placement, count: number, pool = 'base'): Map<string | null, number> {
  const chosen = new Map<string | null, number>();
  for (let at = 0; at < count; at += 1) {
    const nodeId = placement.choose(pool);
    chosen.set(nodeId, (chosen.get(nodeId) ?? 0) + 1);
  }
  return chosen;
}

test('a cold start goes to a node that lives, is in service, has room, and can carry the pool', async () => {
  const { store, clock, placement } = await placementOver([
    statusOf('node-a'),
    statusOf('node-b', { draining: true }),
    statusOf('node-c', { sandboxes: 100 }),
    statusOf('node-d', { pools: ['gvisor'] }),
    statusOf('node-e'),
  ]);
  await store.orderNode('node-e', { kind: 'cordon' });
  clock.advance(1_000);
  // The look that the timer began.
  await placement[Symbol.asyncDispose]();
  assert.deepEqual([...tally(placement, 50).keys()], ['node-a']);
  assert.deepEqual([...tally(placement, 50, 'gvisor').keys()], ['node-d']);
  assert.equal(placement.choose('unknown'), null);
  clock.advance(6_000);
  assert.equal(placement.choose('base'), null);
});

test('a herd of allocators that all see one empty node spreads over the others as well', async () => {
  const random = seededRandom(7);
  const busy = Array.from({ length: 9 }, (_, at) => statusOf(`node-${at}`, { sandboxes: 50 }));
  const chosen = new Map<string | null, number>();
  for (let allocator = 0; allocator < 40; allocator += 1) {
    const { placement } = await placementOver([statusOf('empty'), ...busy], random);
    for (const [nodeId, count] of tally(placement, 5)) chosen.set(nodeId, (chosen.get(nodeId) ?? 0) + count);
    await placement[Symbol.asyncDispose]();
  }
  // All 200 would have gone there; its share of the free slots is 100 of 550, and two draws make that a third.
  const empty = chosen.get('empty') ?? 0;
  assert.ok(empty > 30 && empty < 110, `${empty} of 200`);
  assert.ok(chosen.size >= 9, `${chosen.size} nodes`);
});

test('what one allocator has placed since its last look counts: it fills no node beyond its capacity', async () => {
  const small = Array.from({ length: 4 }, (_, at) => statusOf(`node-${at}`, { capacity: 5 }));
  const { placement } = await placementOver(small);
  const chosen = tally(placement, 21);
  assert.equal(chosen.get(null), 1);
  for (const { nodeId } of small) assert.equal(chosen.get(nodeId), 5);
  await placement[Symbol.asyncDispose]();
});

test('I11 an empty or failed list of nodes leaves the one before', async () => {
  const { store, clock, placement } = await placementOver([statusOf('node-a')]);
  for (const nodes of [async () => [], () => Promise.reject(new Error('the store does not answer'))]) {
    store.nodes = nodes;
    clock.advance(1_000);
    await new Promise(setImmediate);
    assert.equal(placement.choose('base'), 'node-a');
  }
  await placement[Symbol.asyncDispose]();
});

test('a cold start of a pool that was just added waits until a node says that it carries it', async () => {
  const { store, clock, placement } = await placementOver([statusOf('node-a')]);
  assert.equal(placement.choose('added'), null);
  const chosen: unknown[] = [];
  const { signal } = new AbortController();
  const choosing = placement.chooseSoon('added', signal).then((nodeId) => chosen.push(nodeId));
  const passed = () => {
    clock.advance(50);
    return chosen.length > 0;
  };
  await store.heartbeat(statusOf('node-a', { pools: ['base', 'added'] }));
  await until(passed, 'a node');
  await choosing;
  assert.deepEqual([...chosen], ['node-a']);

  // Nobody carries this one, and it is found out soon; where all are full there is nothing to wait for.
  chosen.length = 0;
  const beganMs = clock.monotonicMs();
  const failing = placement.chooseSoon('nobodys', signal).then((nodeId) => chosen.push(nodeId));
  await until(passed, 'an answer');
  await failing;
  assert.deepEqual([...chosen], [null]);
  assert.ok(clock.monotonicMs() - beganMs <= 10_000);
  await store.heartbeat(statusOf('node-a', { pools: ['full'], sandboxes: 100 }));
  await until(() => {
    clock.advance(50);
    return placement.known('node-a')?.pools.includes('full') === true;
  }, 'the heartbeat');
  assert.equal(await placement.chooseSoon('full', signal), null);
  await placement[Symbol.asyncDispose]();
});
