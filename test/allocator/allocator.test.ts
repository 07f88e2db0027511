import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ExecRequest } from '../../src/allocator/api.ts';
import { type ErrorCode, isWarmpoolError } from '../../src/domain/errors.ts';
import type { StoreEvent } from '../../src/store/pool-store.ts';
import { alice, bob, never, plain, poolSpec, startCore } from '../support/core.ts';

function hasCode(code: ErrorCode) {
  return (error: unknown) => isWarmpoolError(error) && error.code === code;
}

function command(sandboxId: string, ...argv: string[]): ExecRequest {
  return { sandboxId, argv, env: {}, stdin: Buffer.alloc(0) };
}

test('A4 a foreign tenant’s sandbox is not found, whatever is asked of it', async () => {
  await using core = await startCore();
  const { record } = await core.allocator.createSandbox(alice, plain, never);
  const { allocator } = core;
  await assert.rejects(allocator.getSandbox(bob, record.id), hasCode('SANDBOX_NOT_FOUND'));
  await assert.rejects(allocator.keepAlive(bob, record.id, null), hasCode('SANDBOX_NOT_FOUND'));
  await assert.rejects(allocator.setTimeout(bob, record.id, 5_000), hasCode('SANDBOX_NOT_FOUND'));
  await assert.rejects(allocator.deleteSandbox(bob, record.id, never), hasCode('SANDBOX_NOT_FOUND'));
  await assert.rejects(allocator.exec(bob, command(record.id, 'true'), never), hasCode('SANDBOX_NOT_FOUND'));
  assert.deepEqual((await allocator.listSandboxes(bob, {})).records, []);
  assert.equal((await allocator.getSandbox(alice, record.id)).state, 'running');
});

test('an unclaimed sandbox and ids of any other shape are not found', async () => {
  await using core = await startCore();
  await core.until('base', (pool) => pool.ready === 2);
  const [ready] = core.runtime.objects.keys();
  for (const id of [ready ?? '', '', 'x', '00'.padEnd(20, 'a'), '../etc', 'x'.repeat(5_000)]) {
    await assert.rejects(core.allocator.getSandbox(alice, id), hasCode('SANDBOX_NOT_FOUND'));
    await assert.rejects(core.allocator.deleteSandbox(alice, id, never), hasCode('SANDBOX_NOT_FOUND'));
  }
});

test('delete settles when the sandbox is gone, and it is not found afterwards', async () => {
  await using core = await startCore();
  const { record } = await core.allocator.createSandbox(alice, plain, never);
  await core.allocator.deleteSandbox(alice, record.id, never);
  assert.ok(!core.runtime.objects.has(record.id));
  await assert.rejects(core.allocator.getSandbox(alice, record.id), hasCode('SANDBOX_NOT_FOUND'));
  await assert.rejects(core.allocator.keepAlive(alice, record.id, null), hasCode('SANDBOX_NOT_FOUND'));
});

test('a keepalive extends the lease and never shortens it; a timeout may', async () => {
  await using core = await startCore();
  const { record } = await core.allocator.createSandbox(alice, { ...plain, timeoutMs: 60_000 }, never);
  const remaining = (value: typeof record) => value.lease?.remainingMs ?? 0;
  assert.ok(remaining(await core.allocator.keepAlive(alice, record.id, 600_000)) > 590_000);
  assert.ok(remaining(await core.allocator.keepAlive(alice, record.id, 5_000)) > 590_000);
  assert.ok(remaining(await core.allocator.setTimeout(alice, record.id, 30_000)) <= 30_000);
  await assert.rejects(core.allocator.keepAlive(alice, record.id, -1), hasCode('INVALID_REQUEST'));
  await assert.rejects(core.allocator.setTimeout(alice, record.id, 1e12), hasCode('INVALID_REQUEST'));
});

test('a command extends the lease as a keepalive does; looking does not', async () => {
  await using core = await startCore();
  const { record } = await core.allocator.createSandbox(alice, { ...plain, timeoutMs: 60_000 }, never);
  await core.allocator.setTimeout(alice, record.id, 20_000);
  const looked = await core.allocator.getSandbox(alice, record.id);
  assert.ok((looked.lease?.remainingMs ?? 0) <= 20_000);
  await core.allocator.exec(alice, command(record.id, 'true'), never);
  const used = await core.allocator.getSandbox(alice, record.id);
  assert.ok((used.lease?.remainingMs ?? 0) > 20_000);
});

test('no keepalive moves the lease past maxLifetime', async () => {
  await using core = await startCore({
    pools: [poolSpec({ lease: { ttlMs: 20_000, maxLifetimeMs: 30_000 } })],
  });
  const { record } = await core.allocator.createSandbox(alice, plain, never);
  const kept = await core.allocator.keepAlive(alice, record.id, 600_000);
  assert.equal(kept.lease?.expiresAtMs, kept.lease?.endOfLifeMs);
  assert.ok((kept.lease?.remainingMs ?? 0) <= 30_000);
});

test('a claim that lives while it is kept is bound by a maxLifetime that its pool file names, and by no default', async () => {
  const lease = { ttlMs: 20_000, maxLifetimeMs: 86_400_000 };
  for (const [named, outlivesIt] of [
    [lease, false],
    [{ ...lease, maxLifetimeIsDefault: true as const }, true],
  ] as const) {
    await using core = await startCore({ pools: [poolSpec({ lease: named })] });
    const { record } = await core.allocator.createSandbox(alice, { ...plain, livesWhileKept: true }, never);
    const kept = await core.allocator.keepAlive(alice, record.id, 2 * 86_400_000);
    assert.equal((kept.lease?.remainingMs ?? 0) > 86_400_000, outlivesIt);
  }
});

test('D12 a sandbox whose lease runs out is ended and removed', async () => {
  await using core = await startCore({ pools: [poolSpec({ size: { minReady: 0 } })] });
  const { record } = await core.allocator.createSandbox(alice, { ...plain, timeoutMs: 1_000 }, never);
  await core.until('base', (pool) => pool.live === 0);
  await core.until('base', () => core.runtime.objects.size === 0);
  assert.equal((await core.store.get(record.id, null))?.endReason, 'lease_expired');
});

test('environment: template, then claim, then request; user and cwd: the most specific one', async () => {
  await using core = await startCore();
  const request = { ...plain, env: { SHARED: 'claim', FROM_CLAIM: 'claim' }, cwd: '/claim' };
  const { record } = await core.allocator.createSandbox(alice, request, never);
  const result = await core.allocator.exec(
    alice,
    { ...command(record.id, 'env'), env: { SHARED: 'request' } },
    never,
  );
  const lines = result.stdout.toString().trim().split('\n');
  for (const line of ['FROM_TEMPLATE=template', 'FROM_CLAIM=claim', 'SHARED=request', 'HOME=/home/user']) {
    assert.ok(lines.includes(line), `${line} in ${lines}`);
  }
  await core.allocator.exec(alice, { ...command(record.id, 'true'), user: 'root' }, never);
  const commands = core.runtime.guests.get(record.id)?.commands ?? [];
  assert.deepEqual(commands.map(({ user, cwd }) => [user, cwd]).slice(-2), [
    ['user', '/claim'],
    ['root', '/claim'],
  ]);
  assert.equal(commands.at(-1)?.env.HOME, '/root');
});

test('exec gives stdin and cuts output at the limit, saying so', async () => {
  await using core = await startCore();
  const { record } = await core.allocator.createSandbox(alice, plain, never);
  const request = { ...command(record.id, 'cat'), stdin: Buffer.from('hello world'), outputLimitBytes: 5 };
  const result = await core.allocator.exec(alice, request, never);
  assert.equal(result.stdout.toString(), 'hello');
  assert.deepEqual([result.stdoutTruncated, result.stderrTruncated, result.exitCode], [true, false, 0]);
});

test('a command given up by its caller is killed', async () => {
  await using core = await startCore();
  const { record } = await core.allocator.createSandbox(alice, plain, never);
  const caller = new AbortController();
  const output = { onOutput: () => {} };
  const request = { sandboxId: record.id, argv: ['sleep'], env: {}, stdin: false };
  const process = await core.allocator.spawn(alice, request, output, caller.signal);
  caller.abort();
  assert.equal((await process.exited).signal, 9);
});

test('D20 a call given up ends, though its process never does', { timeout: 60_000 }, async () => {
  await using core = await startCore();
  const { record } = await core.allocator.createSandbox(alice, plain, never);
  const guest = core.runtime.guests.get(record.id);
  assert.ok(guest);
  const signals: number[] = [];
  const spawned = new Promise<void>((resolve) => {
    guest.spawn = async () => {
      resolve();
      return {
        pid: 42,
        process: 1,
        exited: new Promise(() => {}),
        release: () => {},
        writeStdin: async () => {},
        endStdin: () => {},
        resize: () => {},
        signal: (signalNumber) => signals.push(signalNumber),
      };
    };
  });
  const caller = new AbortController();
  const result = core.allocator.exec(alice, command(record.id, 'deaf'), caller.signal);
  await spawned;
  setImmediate(() => caller.abort());
  await assert.rejects(result, { code: 'CANCELLED' });
  assert.deepEqual(signals, [9]);
});

test('D20 a call given up while its command is being started ends at once, and the command is killed when it is there', async () => {
  await using core = await startCore();
  const { record } = await core.allocator.createSandbox(alice, plain, never);
  const guest = core.runtime.guests.get(record.id);
  assert.ok(guest);
  const start = guest.spawn.bind(guest);
  let begin = () => {};
  const begun = new Promise<void>((resolve) => {
    begin = resolve;
  });
  const caller = new AbortController();
  let late: ReturnType<typeof start> | undefined;
  guest.spawn = (request, output) => {
    setImmediate(() => caller.abort());
    late = begun.then(() => start(request, output));
    return late;
  };
  const result = core.allocator.exec(alice, command(record.id, 'sleep'), caller.signal);
  await assert.rejects(result, { code: 'CANCELLED' });
  begin();
  const process = await late;
  assert.equal((await process?.exited)?.signal, 9);
});

for (const [name, change, field] of [
  ['no command', { argv: [] }, 'argv'],
  ['an empty command', { argv: [''] }, 'argv[0]'],
  ['a NUL in an argument', { argv: ['a', 'b\0'] }, 'argv[1]'],
  ['too much in one command', { argv: ['x'.repeat(61_000)] }, 'argv'],
  ['a relative cwd', { cwd: 'x' }, 'cwd'],
  ['a negative timeout', { timeoutMs: -1 }, 'timeout'],
  ['an output limit that fits no answer', { outputLimitBytes: 1e9 }, 'output_limit_bytes'],
] as const) {
  test(`exec refuses ${name}, naming ${field}`, async () => {
    await using core = await startCore();
    const { record } = await core.allocator.createSandbox(alice, plain, never);
    await assert.rejects(
      core.allocator.exec(alice, { ...command(record.id, 'true'), ...change }, never),
      (error) => {
        assert.ok(isWarmpoolError(error) && error.code === 'INVALID_REQUEST', String(error));
        return error.details.violations?.some((violation) => violation.field === field) ?? false;
      },
    );
  });
}

test('watching shows a tenant its own sandboxes only, and goes on after an event id', async () => {
  await using core = await startCore({ pools: [poolSpec({ size: { minReady: 0 } })] });
  const { allocator } = core;
  const stop = new AbortController();
  const seen: StoreEvent[] = [];
  const events = await allocator.watchSandboxes(alice, { afterEventId: null }, stop.signal);
  const watching = (async () => {
    for await (const event of events) {
      seen.push(event);
      if (event.to === 'stopped') stop.abort();
    }
  })();
  await allocator.createSandbox(bob, plain, never);
  const { record } = await allocator.createSandbox(alice, plain, never);
  await allocator.deleteSandbox(alice, record.id, never);
  await watching;
  assert.deepEqual(
    seen.map((event) => event.to),
    ['starting', 'running', 'stopping', 'stopped'],
  );
  assert.ok(seen.every((event) => event.id === record.id));

  const again = new AbortController();
  const first = seen[0]?.cursor ?? null;
  for await (const event of await allocator.watchSandboxes(alice, { afterEventId: first }, again.signal)) {
    assert.deepEqual([event.id, event.to], [record.id, 'running']);
    again.abort();
  }
});

test('scaling refuses sizes that contradict each other', async () => {
  await using core = await startCore();
  await assert.rejects(
    core.allocator.scalePool(alice, 'base', { minReady: 100 }),
    hasCode('INVALID_REQUEST'),
  );
  await assert.rejects(core.allocator.scalePool(alice, 'nope', { minReady: 1 }), hasCode('POOL_NOT_FOUND'));
  await assert.rejects(core.allocator.getPool(alice, 'nope'), hasCode('POOL_NOT_FOUND'));
});
