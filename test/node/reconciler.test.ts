import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { WarmpoolError } from '../../src/domain/errors.ts';
import { newSandboxId } from '../../src/domain/ids.ts';
import { PoolCatalog } from '../../src/domain/pool-catalog.ts';
import { NodePools } from '../../src/node/node-pools.ts';
import { Reconciler } from '../../src/node/reconciler.ts';
import { Registrar } from '../../src/node/registrar.ts';
import { SandboxSupervisor } from '../../src/node/sandbox-supervisor.ts';
import { StartGate } from '../../src/node/start-gate.ts';
import { Metrics } from '../../src/observability/metrics.ts';
import { MemoryPoolStore } from '../../src/store/memory/memory-pool-store.ts';
import type { StoreHealth } from '../../src/store/pool-store.ts';
import { boundOf } from '../store/contract/registrations.ts';
import { poolSpec } from '../support/core.ts';
import { FakeRuntime } from '../support/fake-runtime.ts';
import { SilentLog } from '../support/silent-log.ts';
import { StoreScenario } from '../support/store-scenario.ts';
import { JournalFolder } from '../support/temporary-journal.ts';

class FixedClock {
  nowMs = 1_000_000;
  monotonicMs = () => this.nowMs;
  wallMs = () => this.nowMs;
  after = () => () => {};
}

/** A store whose health a test can set. */
class MoodyStore extends MemoryPoolStore {
  mood: StoreHealth = { healthy: true, sinceMs: 0, runId: 'one' };
  inventoryFails = false;
  readonly damaged = new Set<string>();

  /** As Redis does: a damaged record is left out of listings, and an error when it is read by name. */
  override get(id: string, tenant: string | null) {
    if (this.damaged.has(id)) return Promise.reject(new WarmpoolError('INTERNAL', 'the record is damaged'));
    return super.get(id, tenant);
  }

  override health(): StoreHealth {
    return this.mood;
  }

  override inventory(nodeId: string) {
    if (this.inventoryFails) return Promise.reject(new WarmpoolError('STORE_UNAVAILABLE', 'gone'));
    return super.inventory(nodeId);
  }
}

const folder = new JournalFolder();
after(() => folder[Symbol.dispose]());

function setUp() {
  const clock = new FixedClock();
  const store = new MoodyStore({ clock });
  const runtime = new FakeRuntime({ survivesNode: true });
  const log = new SilentLog();
  const spec = poolSpec();
  const pools = new NodePools(new PoolCatalog([{ spec, specVersion: 'v1' }]), new Map([['base', runtime]]));
  const observer = new Metrics(['base']);
  const gate = new StartGate({ foregroundMax: 1, refillMax: 1 });
  const journal = folder.openNew({ clock, observer, log });
  const supervisor = new SandboxSupervisor(
    { store, journal, pools, gate, openGuest: runtime.openGuest, clock, observer, log },
    { nodeId: 'node-a' },
  );
  const registrar = new Registrar({ store, journal, log }, { nodeId: 'node-a' });
  const reconciler = new Reconciler(
    { store, journal, registrar, pools, supervisor, clock, observer, log },
    { nodeId: 'node-a' },
  );
  const orphan = (storeId: string | null, ageMs: number) => {
    const id = newSandboxId(0);
    runtime.objects.set(id, { storeId, running: true, madeAtMs: performance.now() - ageMs });
    return id;
  };
  return { store, runtime, reconciler, pools, orphan, log, clock, journal, supervisor, gate };
}

test('D13 an orphan older than 15 s goes when the store has been healthy for 10 s', async () => {
  const { runtime, reconciler, orphan, store } = setUp();
  orphan(store.storeId, 16_000);
  await reconciler.pass();
  assert.equal(runtime.objects.size, 0);
});

test('D13 a young object without a record is left alone', async () => {
  const { runtime, reconciler, orphan, store } = setUp();
  orphan(store.storeId, 5_000);
  await reconciler.pass();
  assert.equal(runtime.objects.size, 1);
});

test('D13 nothing is killed while the store is unhealthy or freshly restarted', async () => {
  const { runtime, reconciler, orphan, store, clock } = setUp();
  orphan(store.storeId, 60_000);
  store.mood = { healthy: false, sinceMs: 0, runId: 'one' };
  await reconciler.pass();
  store.mood = { healthy: true, sinceMs: clock.nowMs - 5_000, runId: 'two' };
  await reconciler.pass();
  assert.equal(runtime.objects.size, 1);
});

test('D13 a pass with a store or runtime error kills nothing', async () => {
  const { runtime, reconciler, orphan, store } = setUp();
  orphan(store.storeId, 60_000);
  store.inventoryFails = true;
  await assert.rejects(reconciler.pass());
  store.inventoryFails = false;
  runtime.onList = () => Promise.reject(new Error('half a listing'));
  await assert.rejects(reconciler.pass());
  assert.equal(runtime.objects.size, 1);
});

test('D13 at most max(5, 10 %) of the objects go in a minute, and hitting that raises an alarm', async () => {
  const { runtime, reconciler, orphan, store, log, clock } = setUp();
  for (let index = 0; index < 20; index += 1) orphan(store.storeId, 60_000);
  await reconciler.pass();
  assert.equal(runtime.objects.size, 15);
  assert.ok(log.lines.some((line) => line.level === 'error' && /is this the right store/.test(line.message)));
  clock.nowMs += 61_000;
  await reconciler.pass();
  assert.equal(runtime.objects.size, 10);
});

test('D13 an object whose record is damaged is no orphan, and keeps no orphan beside it', async () => {
  const { runtime, reconciler, orphan, store, log } = setUp();
  const damaged = orphan(store.storeId, 60_000);
  store.damaged.add(damaged);
  orphan(store.storeId, 60_000);
  await reconciler.pass();
  await reconciler.pass();
  assert.deepEqual([...runtime.objects.keys()], [damaged]);
  assert.equal(log.lines.filter((line) => line.level === 'error').length, 1);
});

test('D13 an object that will not go keeps no other, and is paid for from the budget once', async () => {
  const { runtime, reconciler, orphan, store, clock } = setUp();
  const stubborn = Array.from({ length: 4 }, () => orphan(store.storeId, 60_000));
  const destroy = runtime.destroy.bind(runtime);
  runtime.destroy = async (id) => {
    if (stubborn.includes(id)) throw new Error('it is busy');
    await destroy(id);
  };
  for (let index = 0; index < 6; index += 1) orphan(store.storeId, 60_000);
  await reconciler.pass();
  await reconciler.pass();
  assert.equal(runtime.objects.size, 9);
  clock.nowMs += 61_000;
  await reconciler.pass();
  assert.deepEqual([...runtime.objects.keys()], stubborn);
});

test('a node whose runtimes all stay silent says so until one answers', async () => {
  const { runtime, reconciler, pools } = setUp();
  assert.equal(pools.whyNothingBoots(), null);
  runtime.onList = () => Promise.reject(new Error('the engine is away'));
  await assert.rejects(reconciler.pass(), /the engine is away/);
  assert.equal(pools.whyNothingBoots(), 'no runtime answers (docker)');
  runtime.onList = async () => {};
  await reconciler.pass();
  assert.equal(pools.whyNothingBoots(), null);
  pools.replaceRuntimes(new Map());
  assert.equal(pools.whyNothingBoots(), 'no runtime of this host can carry any pool');
});

test('an object of an embedded store that died with its process goes at once', async () => {
  const { runtime, reconciler, orphan } = setUp();
  for (let index = 0; index < 20; index += 1) orphan('mem-of-another-process', 0);
  await reconciler.pass();
  assert.equal(runtime.objects.size, 0);
});

test('what an earlier process left unusable goes at once, though the crash came before its store was written down', async () => {
  const { runtime, reconciler } = setUp();
  const leftOver = { storeId: null, running: false, leftOver: true, madeAtMs: performance.now() };
  for (let index = 0; index < 20; index += 1) runtime.objects.set(newSandboxId(0), leftOver);
  await reconciler.pass();
  assert.equal(runtime.objects.size, 0);
});

test('I10 objects of another lasting store are not killed at once', async () => {
  const { runtime, reconciler, orphan } = setUp();
  orphan('a-redis', 5_000);
  await reconciler.pass();
  assert.equal(runtime.objects.size, 1);
});

test('I10 the end of a claim made by mistake ends nothing while the link to its sandbox is being made anew', async () => {
  const { store, runtime, reconciler, supervisor, journal } = setUp();
  const scenario = new StoreScenario(store);
  await scenario.declare();
  const record = await scenario.claimed();
  journal.bind(record);
  const mistaken = {
    ...boundOf(record),
    claim: { ...boundOf(record).claim, tenant: 'bob', claimId: 'second' },
  };
  await store.registerBound(mistaken);
  await store.beginStop({ id: record.id, tenant: 'bob' }, 'deleted');
  runtime.objects.set(record.id, { storeId: store.storeId, running: true, madeAtMs: performance.now() });
  const adopt = runtime.adopt.bind(runtime);
  let letIn = () => {};
  const linked = new Promise<void>((resolve) => {
    letIn = resolve;
  });
  runtime.adopt = (id) => linked.then(() => adopt(id));
  const adopting = supervisor.adopt(record, runtime);
  await reconciler.pass();
  letIn();
  assert.equal(await adopting, true);
  await supervisor.settled();
  assert.ok(runtime.objects.get(record.id)?.running, 'it lives');
  await reconciler.pass();
  assert.equal((await store.get(record.id, 'alice'))?.state, 'running');
});

test('I10 an end that the store has taken back while a pass was waiting ends nothing', async () => {
  const { store, runtime, reconciler, supervisor, journal } = setUp();
  const scenario = new StoreScenario(store);
  await scenario.declare();
  const record = await scenario.claimed();
  journal.bind(record);
  runtime.objects.set(record.id, { storeId: store.storeId, running: true, madeAtMs: performance.now() });
  assert.equal(await supervisor.adopt(record, runtime), true);
  // As it was when the pass began: then the store was put back to before that.
  store.inventory = async () => [{ ...record, state: 'stopping', endReason: 'lease_expired' }];
  await reconciler.pass();
  assert.ok(runtime.objects.get(record.id)?.running, 'it lives');
  await store.beginStop({ id: record.id, tenant: 'alice' }, 'deleted');
  await reconciler.pass();
  assert.ok(!runtime.objects.has(record.id), 'now it is over');
});
