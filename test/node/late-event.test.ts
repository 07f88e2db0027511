import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SystemClock } from '../../src/domain/clock.ts';
import { MemoryPoolStore } from '../../src/store/memory/memory-pool-store.ts';
import type { PoolStore, StoreEvent } from '../../src/store/pool-store.ts';
import { alice, never, plain, startCore } from '../support/core.ts';
import { overriding } from '../support/overriding.ts';
import { until } from '../support/until.ts';

test('I10 an event of an end that the store was told is none is too late to end what is in use', async () => {
  const inner = new MemoryPoolStore({ clock: new SystemClock() });
  let tellLate: (event: StoreEvent) => void = () => {};
  const late = new Promise<StoreEvent>((resolve) => {
    tellLate = resolve;
  });
  async function* follow(signal: AbortSignal): AsyncGenerator<readonly StoreEvent[]> {
    const stopped = new Promise<null>((resolve) => {
      signal.addEventListener('abort', () => resolve(null));
    });
    const event = await Promise.race([late, stopped]);
    if (event) yield [event];
    await stopped;
  }
  let looks = 0;
  const store = overriding<PoolStore>(inner, {
    follow: async (_, signal) => follow(signal),
    get: async (id, tenant) => {
      const record = await inner.get(id, tenant);
      if (tenant === null) looks += 1;
      return record;
    },
  });
  await using core = await startCore({ store });
  await core.until('base', ({ ready }) => ready > 0);
  const { record } = await core.allocator.createSandbox(alice, plain, never);
  const { id, incarnation, pool, nodeId } = record;
  const request = { sandboxId: id, argv: ['true'], env: {}, stdin: new Uint8Array() };
  await core.allocator.exec(alice, request, never);
  // As when a store that was put back had ended it as unused, and its node has told whose it is since then.
  looks = 0;
  const ended = { from: 'ready', to: 'stopping', reason: 'idle_age' } as const;
  tellLate({ cursor: 'late', id, incarnation, pool, nodeId, tenant: null, atMs: 0, ...ended });
  await until(() => looks > 0, 'the node to look it up');
  await core.allocator.exec(alice, request, never);
  assert.ok(core.runtime.objects.get(id)?.running);
  assert.equal((await inner.get(id, 'alice'))?.state, 'running');
});
