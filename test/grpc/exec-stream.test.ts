import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import type { FakeProcess } from '../support/fake-process.ts';
import { windowBytes } from '../support/fake-process.ts';
import { grpcFixture } from '../support/grpc-fixture.ts';
import { RawClients } from '../support/grpc-raw.ts';
import { until } from '../support/until.ts';

const { client, allocator, address } = await grpcFixture();
const { id: sandboxId } = await client.create('base');

test('carries the start to the allocator, the output in order, and the exit last', async () => {
  const pieces: string[] = [];
  const session = client.execStream(
    {
      sandboxId,
      argv: ['echo', 'x'],
      env: { A: 'b' },
      cwd: '/tmp',
      user: 'root',
      timeoutMs: 2_000,
      noStdin: true,
    },
    (stream, bytes) => void pieces.push(`${stream} ${bytes}`),
  );
  assert.equal(await session.started, 42);
  assert.deepEqual(await session.exited, { exitCode: 0, signal: null, timedOut: false, durationMs: 1.234 });
  assert.deepEqual(pieces, ['stdout x\n']);
  assert.deepEqual(allocator.spawns.at(-1), {
    sandboxId,
    argv: ['echo', 'x'],
    env: { A: 'b' },
    cwd: '/tmp',
    user: 'root',
    timeoutMs: 2_000,
    stdin: false,
  });
});

test('a command gets stdin by default; eof ends it', async () => {
  const output: Buffer[] = [];
  const session = client.execStream(
    { sandboxId, argv: ['cat'] },
    (_stream, bytes) => void output.push(bytes),
  );
  await session.writeStdin(Buffer.from('one '));
  await session.writeStdin(Buffer.from('two'));
  session.endStdin();
  assert.equal((await session.exited).exitCode, 0);
  assert.equal(Buffer.concat(output).toString(), 'one two');
  assert.equal(allocator.spawns.at(-1)?.stdin, true);
});

test('half-closing the stream is end of file, too', async () => {
  using raw = new RawClients(address);
  const stream = raw.commands.execStream();
  stream.write({ start: { sandboxId, argv: ['cat'] } });
  stream.write({ stdin: Buffer.from('tail') });
  stream.end();
  const kinds = [];
  for await (const message of stream) kinds.push(message.message);
  assert.deepEqual(kinds, ['started', 'stdout', 'exit']);
});

test('signals reach the process group, and how it ended is told', async () => {
  const output: string[] = [];
  const session = client.execStream({ sandboxId, argv: ['trap'] }, (_stream, bytes) => {
    output.push(bytes.toString());
    if (output.join('') === 'ready\n') session.signal(2);
    if (output.join('') === 'ready\nsignal 2\n') session.signal(15);
  });
  assert.deepEqual(await session.exited, { exitCode: 3, signal: null, timedOut: false, durationMs: 1.234 });
  assert.deepEqual(allocator.processes.at(-1)?.signals, [2, 15]);

  const killed = client.execStream({ sandboxId, argv: ['hang'] }, () => {});
  killed.signal(9);
  assert.deepEqual((await killed.exited).signal, 9);
});

test('what cannot be started fails with its reason and field', async () => {
  const missing = client.execStream({ sandboxId, argv: ['missing'] }, () => {});
  await assert.rejects(missing.started, {
    code: 'COMMAND_NOT_FOUND',
    details: { violations: [{ field: 'argv[0]', description: 'not found' }], facts: {} },
  });
  await assert.rejects(missing.exited, { code: 'COMMAND_NOT_FOUND' });
  const nobody = client.execStream({ sandboxId: 'nope', argv: ['true'] }, () => {});
  await assert.rejects(nobody.exited, { code: 'SANDBOX_NOT_FOUND' });
});

test('D20 a reader that does not read holds one window of output, and loses nothing', async () => {
  const total = 24 * 1024 * 1024;
  using raw = new RawClients(address);
  const stream = raw.commands.execStream();
  stream.write({ start: { sandboxId, argv: ['flood', String(total)], noStdin: true } });
  // grpc-js takes whatever comes until the first message was read; only from then on does it hold back.
  await once(stream, 'data');
  stream.pause();
  const process = allocator.processes.at(-1);
  assert.ok(process);
  // It stops once the buffers on the way are full; other calls of the same connection go on meanwhile.
  let deliveredBytes = -1;
  while (deliveredBytes !== process.delivered || process.heldBytes < windowBytes) {
    deliveredBytes = process.delivered;
    for (let index = 0; index < 20; index++) await client.get(sandboxId);
  }
  assert.equal(process.heldBytes, windowBytes);
  // The client's own read-ahead of messages, one HTTP/2 window and ours: far from everything.
  assert.ok(deliveredBytes < 4 * 1024 * 1024, `${deliveredBytes} bytes were let through`);

  let received = 0;
  for await (const message of stream) {
    assert.ok((message.stdout?.length ?? 0) <= 65_536);
    received += message.stdout?.length ?? 0;
  }
  assert.equal(received, total);
  assert.equal(process.heldBytes, 0);
});

test('an onOutput that takes its time makes the command wait', async () => {
  let open = 0;
  let widest = 0;
  let received = 0;
  const session = client.execStream(
    { sandboxId, argv: ['flood', '2000000'], noStdin: true },
    async (_stream, bytes) => {
      widest = Math.max(widest, ++open);
      await new Promise(setImmediate);
      open -= 1;
      received += bytes.length;
    },
  );
  await session.exited;
  assert.equal(widest, 1);
  assert.equal(received, 2_000_000);
});

test('D20 stdin that the command does not take stops the stream', async () => {
  using raw = new RawClients(address);
  const stream = raw.commands.execStream();
  stream.on('error', () => {});
  stream.resume();
  stream.write({ start: { sandboxId, argv: ['deaf'] } });
  const process = await nextProcess();
  let taken = 0;
  for (let index = 0; index < 64; index++) {
    stream.write({ stdin: Buffer.alloc(65_536) }, () => {
      taken += 1;
    });
  }
  await until(() => process.stdinBytes.length === 1, 'the process was offered its stdin');
  for (let index = 0; index < 20; index++) await client.get(sandboxId);
  assert.deepEqual(process.stdinBytes, [65_536]);
  // One was handed over and one read ahead; the others wait in the client, whose transport took some of them.
  assert.ok(taken < 32, `${taken} of 64 messages were taken`);
  stream.cancel();
  assert.equal((await process.exited).signal, 9);
});

test('a cancelled stream, a lost connection and a passed deadline each kill the command', async () => {
  const stop = new AbortController();
  const cancelled = client.execStream({ sandboxId, argv: ['hang'] }, () => {}, { signal: stop.signal });
  await cancelled.started;
  stop.abort();
  await assert.rejects(cancelled.exited, { code: 'CANCELLED' });
  await killedByAbort();

  const late = client.execStream({ sandboxId, argv: ['hang'] }, () => {}, { deadlineMs: 100 });
  await assert.rejects(late.exited, { code: 'DEADLINE_EXCEEDED' });
  await killedByAbort();

  const raw = new RawClients(address);
  const lost = raw.commands.execStream();
  lost.on('error', () => {});
  lost.resume();
  lost.write({ start: { sandboxId, argv: ['hang'] } });
  await nextProcess();
  raw.sandboxes.close();
  lost.cancel();
  await killedByAbort();
});

test('a thousand commands over one connection, thirty-two at a time', async () => {
  let left = 1_000;
  const worker = async () => {
    while (left-- > 0) {
      const session = client.execStream({ sandboxId, argv: ['true'], noStdin: true }, () => {});
      assert.equal((await session.exited).exitCode, 0);
    }
  };
  await Promise.all(Array.from({ length: 32 }, worker));
});

async function killedByAbort(): Promise<void> {
  const process = allocator.processes.at(-1);
  assert.equal((await process?.exited)?.signal, 9);
}

/** The process that the stream just opened starts. */
async function nextProcess(): Promise<FakeProcess> {
  const before = allocator.processes.length;
  await until(() => allocator.processes.length > before, 'a process was started');
  const process = allocator.processes.at(-1);
  assert.ok(process);
  return process;
}
