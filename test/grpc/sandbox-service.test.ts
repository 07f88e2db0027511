import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SandboxEventView } from '../../src/client/views.ts';
import { epochMs } from '../support/fake-allocator.ts';
import { grpcFixture } from '../support/grpc-fixture.ts';

const { client, allocator } = await grpcFixture();

test('CreateSandbox carries every field to the allocator, and answers with the whole sandbox', async () => {
  const created = await client.create('base', {
    timeoutMs: 61_500,
    env: { A: '1', EMPTY: '' },
    metadata: { owner: 'me', ünïcode: '✓' },
    user: 'user',
    cwd: '/srv',
    requestId: 'r-1',
    onMiss: 'wait',
    waitMs: 2_000,
  });
  assert.deepEqual(allocator.creates.at(-1), {
    template: 'base',
    timeoutMs: 61_500,
    env: { A: '1', EMPTY: '' },
    metadata: { owner: 'me', ünïcode: '✓' },
    user: 'user',
    cwd: '/srv',
    requestId: 'r-1',
    onMiss: 'wait',
    waitMs: 2_000,
  });
  assert.match(created.id, /^07[a-z0-9]{18}$/);
  assert.deepEqual(
    { ...created, id: '' },
    {
      id: '',
      template: 'base',
      state: 'running',
      launch: 'warm',
      nodeId: 'node-1',
      createdAt: new Date(epochMs),
      expiresAt: new Date(epochMs + 61_500),
      remainingMs: 61_500,
      endOfLifeAt: new Date(epochMs + 86_400_000),
      metadata: { owner: 'me', ünïcode: '✓' },
      wsUrl: '',
      dataToken: '',
      endReason: null,
      failure: '',
      repeated: false,
    },
  );
});

test('CreateSandbox leaves out what the client did not say', async () => {
  await client.create('base');
  assert.deepEqual(allocator.creates.at(-1), { template: 'base', env: {}, metadata: {} });
});

test('CreateSandbox says when a request id was seen before', async () => {
  const first = await client.create('base', { requestId: 'twice' });
  const second = await client.create('base', { requestId: 'twice' });
  assert.deepEqual(second, { ...first, repeated: true });
});

test('GetSandbox and DeleteSandbox', async () => {
  const { repeated: _, ...sandbox } = await client.create('base');
  assert.deepEqual(await client.get(sandbox.id), sandbox);
  await client.delete(sandbox.id);
  await assert.rejects(client.get(sandbox.id), { code: 'SANDBOX_NOT_FOUND' });
  await assert.rejects(client.delete(sandbox.id), { code: 'SANDBOX_NOT_FOUND' });
});

test('ListSandboxes filters, and pages are followed to the end', async () => {
  const made = [];
  for (let index = 0; index < 5; index++)
    made.push(await client.create('base', { metadata: { batch: 'l' } }));
  const filter = { template: 'base', states: ['running'] as const, metadata: { batch: 'l' } };
  const page = await client.listPage({ ...filter, pageSize: 2 });
  assert.equal(page.sandboxes.length, 2);
  assert.notEqual(page.nextPageToken, '');
  const ids = [];
  for await (const { id } of client.list({ ...filter, pageSize: 2 })) ids.push(id);
  assert.deepEqual(
    ids,
    made.map(({ id }) => id),
  );
  assert.deepEqual((await client.listPage({ states: ['paused', 'stopped'] })).sandboxes, []);
});

test('KeepAlive and SetTimeout answer with the new end', async () => {
  const { id } = await client.create('base');
  assert.equal((await client.keepAlive(id, 90_000)).remainingMs, 90_000);
  assert.equal((await client.keepAlive(id)).remainingMs, 300_000);
  assert.deepEqual((await client.setTimeout(id, 5_000)).expiresAt, new Date(epochMs + 5_000));
});

test('KeepAliveStream answers each renewal, and a bad one does not end the stream', async () => {
  const made = await Promise.all(Array.from({ length: 100 }, () => client.create('base')));
  const session = client.keepAliveStream();
  const renewals = made.map(({ id }, index) => session.renew(id, 60_000 + index));
  assert.deepEqual(
    await Promise.all(renewals),
    made.map((_, index) => 60_000 + index),
  );
  await assert.rejects(session.renew('nobody'), { code: 'SANDBOX_NOT_FOUND', name: 'WarmpoolError' });
  await assert.rejects(session.renew(''), { code: 'INVALID_REQUEST' });
  assert.equal(await session.renew(made[0]?.id ?? ''), 300_000);
  session.close();
});

test('WatchSandboxes gives the events of the tenant from now on, and resumes after any of them', async () => {
  const stop = new AbortController();
  const seen: SandboxEventView[] = [];
  let made = '';
  const setUp = async () => {
    const { id } = await client.create('base');
    made = id;
    await client.delete(id);
  };
  for await (const event of client.watch({ onReady: () => void setUp() }, { signal: stop.signal })) {
    if (seen.push(event) === 3) stop.abort();
  }
  assert.deepEqual(
    seen.map(({ id, from, to, reason }) => [id, from, to, reason]),
    [
      [made, null, 'running', null],
      [made, 'running', 'stopping', 'deleted'],
      [made, 'stopping', 'stopped', 'deleted'],
    ],
  );
  assert.deepEqual(seen[0]?.at, new Date(epochMs));

  const again = new AbortController();
  const resumed: SandboxEventView[] = [];
  const afterFirst = { id: made, afterEventId: seen[0]?.eventId ?? '' };
  for await (const event of client.watch(afterFirst, { signal: again.signal })) {
    if (resumed.push(event) === 2) again.abort();
  }
  assert.deepEqual(resumed, seen.slice(1));
});

test('WatchSandboxes refuses an event id that it cannot read', async () => {
  const watching = client.watch({ afterEventId: 'garbage' })[Symbol.asyncIterator]().next();
  await assert.rejects(watching, {
    code: 'INVALID_REQUEST',
    details: {
      violations: [{ field: 'after_event_id', description: 'is not an event id' }],
      facts: {},
    },
  });
});

test('Exec answers with both streams, the limit and how it ended', async () => {
  const { id } = await client.create('base');
  const echo = await client.exec({
    sandboxId: id,
    argv: ['echo', 'a', 'b'],
    env: { X: 'y' },
    cwd: '/tmp',
    user: 'root',
    timeoutMs: 1_001,
    stdin: Buffer.from('in'),
    outputLimitBytes: 3,
  });
  assert.deepEqual(allocator.execs.at(-1), {
    sandboxId: id,
    argv: ['echo', 'a', 'b'],
    env: { X: 'y' },
    cwd: '/tmp',
    user: 'root',
    timeoutMs: 1_001,
    stdin: Buffer.from('in'),
    outputLimitBytes: 3,
  });
  assert.deepEqual(echo, {
    exitCode: 0,
    signal: null,
    timedOut: false,
    durationMs: 1.234,
    stdout: Buffer.from('a b'),
    stderr: Buffer.from(''),
    stdoutTruncated: true,
    stderrTruncated: false,
  });
  const killed = await client.exec({ sandboxId: id, argv: ['timeout'] });
  assert.deepEqual([killed.exitCode, killed.signal, killed.timedOut], [null, 9, true]);
  const failed = await client.exec({ sandboxId: id, argv: ['exit', '7'] });
  assert.deepEqual([failed.exitCode, failed.signal], [7, null]);
});

test('ListPools, GetPool and ScalePool', async () => {
  const pools = await client.pools();
  assert.deepEqual(
    pools.map(({ name }) => name),
    ['base', 'empty', 'slow'],
  );
  assert.deepEqual(await client.pool('base'), pools[0]);
  assert.equal(pools[0]?.maxIdleAgeMs, 3_600_000);
  assert.deepEqual(
    [pools[0]?.sizing.reason, pools[0]?.sizing.limit, pools[0]?.sizing.bootMs],
    ['min_ready', 'none', null],
  );
  const { targetHitRatio, scaleToZeroAfterMs, sizing } = await client.pool('slow');
  assert.deepEqual([targetHitRatio, scaleToZeroAfterMs], [0.95, 600_000]);
  const { expectedHitRatio, ...load } = sizing;
  assert.ok((expectedHitRatio ?? 0) > 0.99 && (expectedHitRatio ?? 1) < 1);
  assert.deepEqual(load, {
    claimsPerSecond: 2.5,
    bootMs: 2_000,
    offeredLoad: 5,
    wanted: 12,
    reason: 'held',
    limit: 'starts_in_flight',
  });
  assert.equal(pools[1]?.note, 'the last boot failed: no such image');
  const scaled = await client.scalePool('base', { minReady: 0, maxTotal: 100 });
  assert.deepEqual([scaled.minReady, scaled.maxReady, scaled.maxTotal], [0, 64, 100]);
  await assert.rejects(client.pool('nope'), { code: 'POOL_NOT_FOUND' });
});
