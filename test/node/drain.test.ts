import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SystemClock } from '../../src/domain/clock.ts';
import { newClaimId, newSandboxId, shardOfPool } from '../../src/domain/ids.ts';
import { MemoryPoolStore } from '../../src/store/memory/memory-pool-store.ts';
import type { NodeStatus } from '../../src/store/pool-store.ts';
import { poolSpec, startCore } from '../support/core.ts';
import { FakeRuntime } from '../support/fake-runtime.ts';
import { within } from '../support/within.ts';

/** Stands for Redis, and keeps what nodes say of themselves. */
class LastingStore extends MemoryPoolStore {
  override readonly storeId: string = 'lasting';
  readonly heartbeats: NodeStatus[] = [];

  override heartbeat(status: NodeStatus): ReturnType<MemoryPoolStore['heartbeat']> {
    this.heartbeats.push(status);
    return super.heartbeat(status);
  }
}

async function coldStart(store: MemoryPoolStore, requestId: string): Promise<string> {
  const id = newSandboxId(shardOfPool('base'));
  const answer = await store.claim({
    pool: 'base',
    tenant: 'alice',
    requestId,
    bodyHash: '',
    claimId: newClaimId(),
    leaseTtlMs: 60_000,
    maxLifetimeMs: 60_000,
    onExpiry: 'kill',
    customisation: { env: {}, metadata: {} },
    warm: false,
    cold: { id, nodeId: 'node-a', bootTimeoutMs: 60_000 },
  });
  assert.equal(answer.kind, 'starting');
  return id;
}

test('D19 draining does not wait for boots that hang, and leaves nothing of them', async () => {
  await using store = new LastingStore({ clock: new SystemClock() });
  const runtime = new FakeRuntime({ survivesNode: true });
  runtime.onBoot = () => new Promise(() => {});
  await using core = await startCore({ runtime, store });
  await core.until('base', (pool) => pool.starting >= 1);
  const cold = await coldStart(store, 'cold');
  await core.until('base', () => runtime.objects.has(cold));
  await within(core.node.drain(), () => 'draining goes on');
  assert.equal(runtime.objects.size, 0);
  assert.deepEqual(await store.inventory('node-a'), []);
  const failed = await store.get(cold, null);
  assert.deepEqual([failed?.state, failed?.endReason], ['failed', 'node_drained']);
});

test('D19 a cold start placed on a node that drains fails at once instead of waiting for its deadline', async () => {
  await using store = new LastingStore({ clock: new SystemClock() });
  await using core = await startCore({ store, pools: [poolSpec({ size: { minReady: 0 } })] });
  const draining = core.node.drain();
  const placed = await coldStart(store, 'placed');
  await within(draining, () => 'draining goes on');
  assert.equal((await store.get(placed, null))?.state, 'failed');
  assert.ok(store.heartbeats.at(-1)?.draining, 'placements hear of the drain');
});
