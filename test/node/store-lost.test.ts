import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SystemClock } from '../../src/domain/clock.ts';
import { isWarmpoolError } from '../../src/domain/errors.ts';
import type { SandboxRecord } from '../../src/domain/sandbox.ts';
import { RedisPoolStore } from '../../src/store/redis/redis-pool-store.ts';
import { alice, bob, never, plain, poolSpec, startCore } from '../support/core.ts';
import { FakeRuntime } from '../support/fake-runtime.ts';
import { RedisServer } from '../support/redis-server.ts';
import { requirement } from '../support/requirements.ts';
import { until } from '../support/until.ts';

const { skip } = await requirement('redis');

type Core = Awaited<ReturnType<typeof startCore>>;

const usedCount = 12;
const unusedCount = 6;
const roomy = { minReady: unusedCount, maxReady: 60, maxTotal: 80, startsInFlightMax: 16 };

/** The core opens it. */
function storeOn(server: RedisServer): RedisPoolStore {
  return new RedisPoolStore({ clock: new SystemClock(), warn: () => {} }, { url: server.url });
}

/** A core over a real Redis, its pool full, with `usedCount` sandboxes that alice has claimed and used. */
async function inUse(store: RedisPoolStore) {
  const runtime = new FakeRuntime({ survivesNode: true });
  const core = await startCore({ store, runtime, pools: [poolSpec({ size: roomy })] });
  const used: SandboxRecord[] = [];
  for (let count = 0; count < usedCount; count += 1) {
    await core.until('base', ({ ready }) => ready > 0);
    const create = { ...plain, env: { NUMBER: String(count) } };
    const { record } = await core.allocator.createSandbox(alice, create, never);
    await run(core, record.id);
    used.push(record);
  }
  await core.until('base', ({ ready, starting }) => ready === unusedCount && starting === 0);
  return { core, runtime, used };
}

function run(core: Core, sandboxId: string, principal = alice) {
  const request = { sandboxId, argv: ['env'], env: {}, stdin: new Uint8Array() };
  return core.allocator.exec(principal, request, never);
}

/** Every sandbox lives, is its owner's, and has what its claim customised. */
async function assertKept(core: Core, runtime: FakeRuntime, used: readonly SandboxRecord[]): Promise<void> {
  for (const [number, record] of used.entries()) {
    assert.ok(runtime.objects.get(record.id)?.running, 'it lives');
    const { stdout } = await run(core, record.id);
    assert.match(stdout.toString(), new RegExp(`^NUMBER=${number}$`, 'm'));
    const now = await core.allocator.getSandbox(alice, record.id);
    assert.deepEqual([now.state, now.claim?.claimId], ['running', record.claim?.claimId]);
    assert.ok((now.lease?.remainingMs ?? 0) > 200_000, `${now.lease?.remainingMs} ms left`);
    await assert.rejects(run(core, record.id, bob), hasCode('SANDBOX_NOT_FOUND'));
  }
}

function hasCode(code: string) {
  return (error: unknown) => isWarmpoolError(error) && error.code === code;
}

/** Everything that a Redis holds, as it can be put back into another one. */
async function snapshotOf(server: RedisServer): Promise<ReadonlyMap<string, Buffer>> {
  const client = server.client();
  const entries = await Promise.all(
    (await client.keys('*')).map(async (key) => [key, await client.dumpBuffer(key)] as const),
  );
  return new Map(entries.filter((entry): entry is readonly [string, Buffer] => entry[1] !== null));
}

async function putBack(server: RedisServer, snapshot: ReadonlyMap<string, Buffer>): Promise<void> {
  const all = server.client().multi().flushall();
  for (const [key, value] of snapshot) all.restore(key, 0, value);
  await all.exec();
}

test('redis: T13 I10 FLUSHALL kills nothing: what is used keeps its owner, what is not is ready again', {
  skip,
}, async () => {
  await using server = await RedisServer.start();
  await using store = storeOn(server);
  const { core, runtime, used } = await inUse(store);
  await using _ = core;
  const unused = [...runtime.objects.keys()].filter((id) => used.every((record) => record.id !== id));
  const session = await core.allocator.openSession(alice, used[0]?.id ?? '');
  const ends: string[] = [];
  session.watch({ onLease: () => {}, onEnd: ({ reason }) => ends.push(reason) });
  const { boots } = runtime;

  await server.client().flushall();
  // An owner who comes at once need not wait for the reconciler.
  assert.equal((await run(core, used[1]?.id ?? '')).exitCode, 0);
  assert.ok((await session.keepAlive(null)).remainingMs > 200_000);
  const pool = await core.until(
    'base',
    ({ live, ready, starting }) => live >= usedCount + unusedCount && ready >= unusedCount && starting === 0,
  );
  assert.ok(pool.ready >= unusedCount);
  await assertKept(core, runtime, used);
  assert.equal((await store.list({ tenant: 'alice', pageSize: 100 })).records.length, usedCount);
  assert.deepEqual(ends, []);
  session.close();
  // The pool came back from what was there, but for what the replenisher took for missing in between.
  const again = await Promise.all(unused.map((id) => store.get(id, null)));
  const readyAgain = again.filter((record) => record?.state === 'ready').length;
  assert.ok(readyAgain + runtime.boots - boots >= unusedCount, `${readyAgain} again`);
  assert.deepEqual(await store.healIndexes(), { readded: 0, dropped: 0 });
});

test('redis: T13 M2 D9 a store put back to before the claims gives nothing to two owners', {
  skip,
}, async () => {
  await using server = await RedisServer.start();
  await using store = storeOn(server);
  const runtime = new FakeRuntime({ survivesNode: true });
  await using core = await startCore({ store, runtime, pools: [poolSpec({ size: roomy })] });
  await core.until('base', ({ ready, starting }) => ready === unusedCount && starting === 0);
  const snapshot = await snapshotOf(server);
  const used: SandboxRecord[] = [];
  for (let count = 0; count < unusedCount; count += 1) {
    const create = { ...plain, env: { NUMBER: String(count) } };
    const { record } = await core.allocator.createSandbox(alice, create, never);
    await run(core, record.id);
    used.push(record);
  }
  await putBack(server, snapshot);
  // The store hands all of them out a second time; each of bob's finds out at its first use.
  const refused = new Set<string>();
  let conflicts = 0;
  const winners = new Set<string>();
  for (let count = 0; count < 3; count += 1) {
    const requestId = `bob-${count}`;
    for (;;) {
      const { record } = await core.allocator.createSandbox(bob, { ...plain, requestId }, never);
      try {
        await run(core, record.id, bob);
        winners.add(record.id);
        break;
      } catch (error) {
        // Its record may have been put right between the two calls.
        assert.ok(hasCode('CLAIM_CONFLICT')(error) || hasCode('SANDBOX_NOT_FOUND')(error));
        if (hasCode('CLAIM_CONFLICT')(error)) conflicts += 1;
        refused.add(record.id);
      }
    }
  }
  const ids = new Set(used.map(({ id }) => id));
  for (const id of winners) assert.ok(!ids.has(id), 'nobody’s second claim was let in');
  for (const id of refused) assert.ok(ids.has(id));
  assert.equal(winners.size, 3);
  await assertKept(core, runtime, used);
  assert.match(
    await core.observer.expose(),
    new RegExp(`^warmpool_claim_conflicts_total ${conflicts}$`, 'm'),
  );
});

test('redis: T13 a restarted store that came back old forgets no renewal, and the end of a lease it believes in ends nothing', {
  skip,
}, async () => {
  await using server = await RedisServer.start();
  await using store = storeOn(server);
  const runtime = new FakeRuntime({ survivesNode: true });
  await using core = await startCore({ store, runtime, pools: [poolSpec({ size: roomy })] });
  await core.until('base', ({ ready }) => ready > 0);
  const create = { ...plain, timeoutMs: 3_000 };
  const { record } = await core.allocator.createSandbox(alice, create, never);
  await run(core, record.id);
  const snapshot = await snapshotOf(server);
  await core.allocator.keepAlive(alice, record.id, 600_000);
  const leftMs = () => core.journal.of(record.id)?.leaseLeftMs ?? 0;
  await until(() => leftMs() > 300_000, 'the node to see the renewal');
  await server.kill();
  await server.restart();
  await putBack(server, snapshot);
  // By the store's word its lease ends within three seconds.
  const client = server.client();
  const [shard] = /^\d\d/.exec(record.id) ?? [];
  const key = `wp:{s${shard}}:sandbox:${record.id}`;
  const goneMs = Date.now() + 4_000;
  await until(async () => {
    assert.ok(runtime.objects.get(record.id)?.running, 'it lives');
    return Date.now() > goneMs && Number(await client.hget(key, 'expires')) > Date.now() + 300_000;
  }, 'the node to tell the store of its lease');
  assert.equal((await core.allocator.getSandbox(alice, record.id)).state, 'running');
});
