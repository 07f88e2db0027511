import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LostNodes } from '../../src/allocator/lost-nodes.ts';
import { WarmpoolError } from '../../src/domain/errors.ts';
import type { EndReason } from '../../src/domain/sandbox.ts';
import { MemoryPoolStore } from '../../src/store/memory/memory-pool-store.ts';
import type { HeardNode, NodeStatus } from '../../src/store/pool-store.ts';
import { ManualClock } from '../guest-link/manual-clock.ts';
import { SilentLog } from '../support/silent-log.ts';
import { StoreScenario } from '../support/store-scenario.ts';

const nodeTimeoutMs = 15_000;

/** A store that can be away, forget, and have its clock jump. */
class ShakyStore extends MemoryPoolStore {
  readonly #at: ManualClock;
  #sinceMs: number;
  #runId = 'one';
  away = false;
  /** Answers questions and refuses every write, as one without the replicas that it has to have, or with a full disk. */
  readOnly = false;
  /** Added to every age that it tells. */
  jumpMs = 0;
  /** What it lists instead of what it knows. */
  listed: readonly HeardNode[] | null = null;

  constructor(clock: ManualClock) {
    super({ clock });
    this.#at = clock;
    this.#sinceMs = clock.monotonicMs();
  }

  override health() {
    return { healthy: !this.away, sinceMs: this.#sinceMs, runId: this.#runId };
  }

  /** As a failed command, or another server, makes it. */
  becameHealthy(runId = this.#runId): void {
    this.#sinceMs = this.#at.monotonicMs();
    this.#runId = runId;
  }

  override async nodes() {
    if (this.away) throw new WarmpoolError('STORE_UNAVAILABLE', 'the store does not answer');
    if (this.listed) return this.listed;
    return (await super.nodes()).map((node) => ({
      ...node,
      heartbeatAgeMs: node.heartbeatAgeMs + this.jumpMs,
    }));
  }

  override async heartbeat(node: NodeStatus) {
    if (this.readOnly) throw new WarmpoolError('STORE_UNAVAILABLE', 'the store takes no writes');
    return super.heartbeat(node);
  }

  override async declareLost(nodeId: string, silentMs: number) {
    if (this.readOnly) throw new WarmpoolError('STORE_UNAVAILABLE', 'the store takes no writes');
    return super.declareLost(nodeId, silentMs - this.jumpMs);
  }
}

async function setUp() {
  const clock = new ManualClock();
  const store = new ShakyStore(clock);
  const log = new SilentLog();
  const ended: EndReason[] = [];
  let lost = 0;
  const observer = {
    sandboxEnded: (reason: EndReason) => void ended.push(reason),
    nodeLost: () => {
      lost += 1;
    },
  };
  const watcher = () => new LostNodes({ store, clock, observer, log }, { nodeTimeoutMs });
  const scenario = new StoreScenario(store);
  await scenario.declare();
  const beat = (nodeId = 'node-a') =>
    store.heartbeat({
      nodeId,
      runtimes: ['docker'],
      pools: ['base'],
      draining: false,
      obeys: null,
      sandboxes: 0,
      capacity: 10,
    });
  /** Lets seconds pass, with a look of each watcher in each. */
  const pass = async (seconds: number, watchers: readonly LostNodes[], living: readonly string[] = []) => {
    for (let second = 0; second < seconds; second += 1) {
      clock.advance(1_000);
      for (const nodeId of living) await beat(nodeId);
      for (const each of watchers) await each.pass().catch(() => {});
    }
  };
  const stateOf = async (id: string) => (await store.get(id, null))?.state;
  return { clock, store, log, ended, watcher, scenario, beat, pass, stateOf, lostCount: () => lost };
}

test('a silent node is lost: its ready and starting leave the pool, its claimed ones fail with node_lost', async () => {
  const { store, ended, watcher, scenario, beat, pass, lostCount } = await setUp();
  const lostNodes = watcher();
  await beat();
  await beat('node-b');
  const claimed = await scenario.claimed();
  const ready = await scenario.ready();
  const starting = await scenario.starting();
  const cold = await scenario.coldStart({ warm: false });
  const elsewhere = await scenario.ready({ nodeId: 'node-b' });
  await pass(30, [lostNodes], ['node-a', 'node-b']);
  assert.equal(lostCount(), 0);
  await pass(14, [lostNodes], ['node-b']);
  assert.equal((await store.readPool('base'))?.ready, 2);
  await pass(4, [lostNodes], ['node-b']);
  const pool = await store.readPool('base');
  assert.deepEqual([pool?.ready, pool?.starting, pool?.live], [1, 0, 1]);
  for (const { id } of [claimed, ready, starting, cold]) {
    const record = await store.get(id, null);
    assert.deepEqual([record?.state, record?.endReason], ['failed', 'node_lost']);
    assert.match(record?.failure ?? '', /^node "node-a" was lost: it was not heard of for 15 s$/);
  }
  assert.equal((await store.get(elsewhere.id, null))?.state, 'ready');
  assert.deepEqual(ended, Array(4).fill('node_lost'));
  assert.equal(lostCount(), 1);
  // What is handed out from now on is the other node's.
  const answer = await scenario.claim();
  assert.ok(answer.kind === 'claimed' && answer.record.nodeId === 'node-b');
  assert.deepEqual(await store.healIndexes(), { readded: 0, dropped: 0 });
});

test('whoever had it deleted when the node was lost is told that it is gone, and why it went', async () => {
  const { store, watcher, scenario, beat, pass } = await setUp();
  await beat();
  const { id } = await scenario.claimed();
  await store.beginStop({ id, tenant: 'alice' }, 'deleted');
  await pass(50, [watcher()]);
  const record = await store.get(id, null);
  assert.deepEqual([record?.state, record?.endReason], ['failed', 'deleted']);
});

test('D4 any number of allocators do it at once, and one that died half-way is come after', async () => {
  const { store, clock, ended, watcher, scenario, beat, pass, stateOf, lostCount } = await setUp();
  await beat();
  const ids: string[] = [];
  for (let count = 0; count < 50; count += 1) ids.push((await scenario.ready()).id);
  const many = [watcher(), watcher(), watcher()];
  await pass(30, many, ['node-a']);
  // One of another process has declared it lost, and has died before it did anything.
  clock.advance(nodeTimeoutMs);
  assert.deepEqual(await store.declareLost('node-a', nodeTimeoutMs), { kind: 'lost', first: true });
  await pass(25, many);
  for (const id of ids) assert.equal(await stateOf(id), 'failed');
  assert.equal(lostCount(), 0);
  assert.ok(ended.length >= ids.length);
  assert.equal((await store.inventory('node-a')).length, ids.length);
});

test('I10 a store that was away, or is another one, makes no node lost before two timeouts of health', async () => {
  const { store, watcher, scenario, beat, pass, stateOf } = await setUp();
  const lostNodes = watcher();
  await beat();
  const { id } = await scenario.ready();
  await pass(40, [lostNodes], ['node-a']);
  store.away = true;
  // No heartbeat reaches it either.
  await pass(60, [lostNodes]);
  store.away = false;
  store.becameHealthy();
  await pass(29, [lostNodes]);
  assert.equal(await stateOf(id), 'ready');
  store.becameHealthy('another');
  await pass(29, [lostNodes]);
  assert.equal(await stateOf(id), 'ready');
  await pass(30, [lostNodes], ['node-a']);
  assert.equal(await stateOf(id), 'ready');
});

test('I10 old heartbeats of a store that was put back, and a jump of its clock, make no node lost', async () => {
  const { store, watcher, scenario, beat, pass, stateOf } = await setUp();
  const lostNodes = watcher();
  await beat();
  const { id } = await scenario.ready();
  await pass(40, [lostNodes], ['node-a']);
  store.jumpMs = 120_000;
  await pass(40, [lostNodes], ['node-a']);
  assert.equal(await stateOf(id), 'ready');
  // Put back: for one look the heartbeat is that of a minute ago.
  store.jumpMs = 0;
  const [before] = await store.nodes();
  assert.ok(before);
  store.listed = [{ ...before, heartbeatAgeMs: 60_000, heartbeatAtMs: 1 }];
  await pass(1, [lostNodes], ['node-a']);
  store.listed = null;
  await pass(20, [lostNodes], ['node-a']);
  assert.equal(await stateOf(id), 'ready');
});

test('I10 a store that answers questions but took no heartbeats makes no node lost when it takes writes again', async () => {
  const { store, clock, watcher, scenario, beat, pass, stateOf } = await setUp();
  const lostNodes = watcher();
  await beat();
  const { id } = await scenario.ready();
  await pass(40, [lostNodes], ['node-a']);
  for (const refusedSeconds of [15, 16, 30, 31, 61]) {
    store.readOnly = true;
    await pass(refusedSeconds, [lostNodes]);
    store.readOnly = false;
    // The look comes before any heartbeat.
    clock.advance(1_000);
    await lostNodes.pass();
    assert.equal(await stateOf(id), 'ready', `after ${refusedSeconds} s`);
    await pass(5, [lostNodes], ['node-a']);
  }
  // One that does not come back is lost all the same.
  await pass(17, [lostNodes]);
  assert.equal(await stateOf(id), 'failed');
});

test('I11 an empty or partial list of nodes says nothing about those that it lacks', async () => {
  const { store, watcher, scenario, beat, pass, stateOf } = await setUp();
  const lostNodes = watcher();
  await beat();
  const { id } = await scenario.ready();
  await pass(40, [lostNodes], ['node-a']);
  store.listed = [];
  await pass(60, [lostNodes], ['node-a']);
  store.listed = null;
  await pass(5, [lostNodes], ['node-a']);
  assert.equal(await stateOf(id), 'ready');
});

test('T20 an allocator that was frozen has seen nothing in between, and starts watching anew', async () => {
  const { clock, watcher, scenario, beat, pass, stateOf } = await setUp();
  const lostNodes = watcher();
  await beat();
  const { id } = await scenario.ready();
  await pass(40, [lostNodes], ['node-a']);
  // The whole process, its node's heartbeat included; its reaper is the first to go on.
  clock.advance(30_000);
  await lostNodes.pass();
  await pass(5, [lostNodes], ['node-a']);
  assert.equal(await stateOf(id), 'ready');
});

test('one that was claimed between the look and the step is failed as its owner’s by the next look', async () => {
  const { store, watcher, scenario, beat, pass } = await setUp();
  const lostNodes = watcher();
  await beat();
  const { id } = await scenario.ready();
  await pass(30, [lostNodes], ['node-a']);
  const { inventory } = MemoryPoolStore.prototype;
  let claims = 0;
  store.inventory = async (nodeId) => {
    const records = await inventory.call(store, nodeId);
    if (claims === 0 && records.some(({ state }) => state === 'ready')) {
      claims += 1;
      await scenario.claim();
    }
    return records;
  };
  await pass(25, [lostNodes]);
  const record = await store.get(id, 'alice');
  assert.deepEqual([record?.state, record?.endReason], ['failed', 'node_lost']);
});

test('a node that has not come back within a day is forgotten, with what was on it', async () => {
  const { store, clock, watcher, scenario, beat, pass } = await setUp();
  const lostNodes = watcher();
  await beat();
  await scenario.ready();
  await pass(50, [lostNodes]);
  assert.equal((await store.inventory('node-a')).length, 1);
  clock.advance(86_400_000);
  await pass(20, [lostNodes]);
  assert.deepEqual(await store.inventory('node-a'), []);
  assert.deepEqual(await store.nodes(), []);
});
