import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SystemClock } from '../../src/domain/clock.ts';
import { MemoryPoolStore } from '../../src/store/memory/memory-pool-store.ts';
import { LastingStore } from '../faults/mortal-core.ts';
import { alice, never, plain, startCore } from '../support/core.ts';
import { FakeRuntime } from '../support/fake-runtime.ts';
import { until } from '../support/until.ts';

/** The clock of the store's host, which is no other's. */
class JumpingClock extends SystemClock {
  jumpMs = 0;

  override monotonicMs(): number {
    return super.monotonicMs() + this.jumpMs;
  }
}

async function inUse({ runtime = new FakeRuntime(), Store = MemoryPoolStore } = {}) {
  const clock = new JumpingClock();
  const core = await startCore({ store: new Store({ clock }), runtime });
  const { record } = await core.allocator.createSandbox(alice, { ...plain, timeoutMs: 600_000 }, never);
  const request = { sandboxId: record.id, argv: ['true'], env: {}, stdin: new Uint8Array() };
  await core.allocator.exec(alice, request, never);
  return { core, clock, record };
}

test('T19 D12 a jump of the store’s clock makes no node end a sandbox whose lease goes on by the node’s own timer', async () => {
  const { core, clock, record } = await inUse();
  await using _core = core;
  clock.jumpMs = 1_200_000;
  const held = () => core.log.lines.some(({ message }) => /expired before its time/.test(message));
  await until(held, 'the node to be told that it has expired');
  // Whoever asks the node to remove it, a reconciling pass included, gets the same answer.
  const stopping = await core.store.get(record.id, null);
  assert.deepEqual([stopping?.state, stopping?.endReason], ['stopping', 'lease_expired']);
  if (stopping) await core.node.remove(stopping);
  assert.ok(core.runtime.objects.get(record.id)?.running, 'it lives');
});

test('T19 D12 a sandbox that is kept through a jump of the store’s clock is kept when its link breaks as well', async () => {
  const { core, clock, record } = await inUse({ runtime: new FakeRuntime({ survivesNode: true }) });
  await using _core = core;
  clock.jumpMs = 1_200_000;
  const said = (sentence: RegExp) => core.log.lines.some(({ message }) => sentence.test(message));
  await until(() => said(/expired before its time/), 'the node to be told that it has expired');
  core.runtime.guests.get(record.id)?.cut('the engine was restarted');
  await until(() => said(/adopted a running sandbox/), 'another link');
  assert.ok(core.runtime.objects.get(record.id)?.running, 'it lives');
  assert.notEqual(core.node.guest(record), null);
});

test('T19 D12 D16 a node that is told to stop leaves what it keeps through a jump of the store’s clock to its next start', async () => {
  const runtime = new FakeRuntime({ survivesNode: true });
  const { core, clock, record } = await inUse({ runtime, Store: LastingStore });
  await using _core = core;
  clock.jumpMs = 1_200_000;
  assert.equal((await core.store.expire(record.id, record.incarnation)).kind, 'done');
  await core.node.drain();
  assert.ok(runtime.objects.get(record.id)?.running, 'it lives');
});

test('D12 a lease that its owner has shortened ends when the store says so, whatever the node has seen before', async () => {
  const { core, record } = await inUse();
  await using _core = core;
  await core.allocator.setTimeout(alice, record.id, 1_000);
  await until(() => !core.runtime.objects.has(record.id), 'it to be ended');
});
