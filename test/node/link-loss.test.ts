import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { SystemClock } from '../../src/domain/clock.ts';
import { WarmpoolError } from '../../src/domain/errors.ts';
import { newClaimId, newSandboxId, shardOfPool } from '../../src/domain/ids.ts';
import { PoolCatalog } from '../../src/domain/pool-catalog.ts';
import type { SandboxRecord } from '../../src/domain/sandbox.ts';
import { NodePools } from '../../src/node/node-pools.ts';
import { SandboxSupervisor } from '../../src/node/sandbox-supervisor.ts';
import { StartGate } from '../../src/node/start-gate.ts';
import { Metrics } from '../../src/observability/metrics.ts';
import type { BootedSandbox } from '../../src/runtime/sandbox-runtime.ts';
import { MemoryPoolStore } from '../../src/store/memory/memory-pool-store.ts';
import { poolSpec } from '../support/core.ts';
import { FakeRuntime } from '../support/fake-runtime.ts';
import { SilentLog } from '../support/silent-log.ts';
import { JournalFolder } from '../support/temporary-journal.ts';
import { until } from '../support/until.ts';

const folder = new JournalFolder();
after(() => folder[Symbol.dispose]());

/** A store that can be away, or have lost its data. */
class FlakyStore extends MemoryPoolStore {
  away = false;
  empty = false;

  override async get(id: string, tenant: string | null): Promise<SandboxRecord | null> {
    if (this.away) throw new WarmpoolError('STORE_UNAVAILABLE', 'gone');
    return this.empty ? null : super.get(id, tenant);
  }
}

/** A docker-like runtime whose engine can be away. */
class FlakyRuntime extends FakeRuntime {
  away = false;
  adoptions = 0;

  override async adopt(sandboxId: string): Promise<BootedSandbox> {
    this.adoptions += 1;
    if (this.away) throw new WarmpoolError('RUNTIME_UNAVAILABLE', 'no engine');
    return super.adopt(sandboxId);
  }
}

/** One claimed sandbox that is up in a supervisor. */
async function claimed() {
  const clock = new SystemClock();
  const store = new FlakyStore({ clock });
  const runtime = new FlakyRuntime({ survivesNode: true });
  const log = new SilentLog();
  const spec = poolSpec();
  const pools = new NodePools(new PoolCatalog([{ spec, specVersion: 'v1' }]), new Map([['base', runtime]]));
  const observer = new Metrics(['base']);
  const gate = new StartGate({ foregroundMax: 1, refillMax: 1 });
  const journal = folder.openNew();
  const supervisor = new SandboxSupervisor(
    { store, journal, pools, gate, openGuest: (booted) => runtime.openGuest(booted), clock, observer, log },
    { nodeId: 'node-a' },
  );
  await store.declarePool({ name: 'base', specVersion: 'v1', size: spec.size });
  const answer = await store.claim({
    pool: 'base',
    tenant: 'alice',
    requestId: 'one',
    bodyHash: '',
    claimId: newClaimId(),
    leaseTtlMs: 60_000,
    maxLifetimeMs: 60_000,
    onExpiry: 'kill',
    customisation: { env: {}, metadata: {} },
    warm: true,
    cold: { id: newSandboxId(shardOfPool('base')), nodeId: 'node-a', bootTimeoutMs: 30_000 },
  });
  assert.equal(answer.kind, 'starting');
  assert.ok('record' in answer);
  assert.equal((await supervisor.boot(answer.record, 'foreground')).kind, 'up');
  const cut = () => runtime.guests.get(answer.record.id)?.cut('the stream ended');
  const state = async () => (await store.inventory('node-a')).map((each) => each.state);
  return { supervisor, store, runtime, log, id: answer.record.id, cut, state };
}

for (const trouble of ['away', 'empty'] as const) {
  test(`I10 a claimed sandbox that may live on is not removed when its link drops while the store is ${trouble}`, async () => {
    const { supervisor, store, runtime, id, cut } = await claimed();
    store[trouble] = true;
    cut();
    await until(() => !supervisor.has(id), 'the supervisor lets go');
    await supervisor.settled();
    assert.ok(runtime.objects.has(id), 'the object lives');
    // What the reconciler does once the store is back.
    store[trouble] = false;
    const record = await store.get(id, null);
    assert.ok(record?.state === 'running');
    assert.equal(await supervisor.adopt(record, runtime), true);
  });
}

test('a claimed sandbox whose engine is away when its link drops waits for the engine', async () => {
  const { supervisor, store, runtime, id, cut, state } = await claimed();
  runtime.away = true;
  cut();
  await until(() => !supervisor.has(id), 'the supervisor lets go');
  await supervisor.settled();
  assert.ok(runtime.objects.has(id));
  assert.deepEqual(await state(), ['running']);
  const record = await store.get(id, null);
  assert.ok(record);
  await assert.rejects(supervisor.adopt(record, runtime), { code: 'RUNTIME_UNAVAILABLE' });
  assert.ok(!supervisor.has(id));
  runtime.away = false;
  assert.equal(await supervisor.adopt(record, runtime), true);
});

test('G2 a guest that breaks every link it is given is given up after a few', async () => {
  const { supervisor, runtime, id, cut, state } = await claimed();
  const open = runtime.openGuest;
  Object.assign(runtime, {
    openGuest: async (booted: BootedSandbox) => {
      const guest = await open(booted);
      if (runtime.adoptions <= 50) guest.close();
      return guest;
    },
  });
  cut();
  await until(() => !runtime.objects.has(id) || runtime.adoptions > 50, 'the sandbox is given up');
  await supervisor.settled();
  assert.ok(runtime.adoptions < 10, `${runtime.adoptions} links were tried`);
  assert.ok(!runtime.objects.has(id));
  assert.deepEqual(await state(), []);
});
