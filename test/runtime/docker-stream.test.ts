import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { isWarmpoolError } from '../../src/domain/errors.ts';
import { AttachTransport } from '../../src/runtime/docker/attach-transport.ts';
import { StdioDemultiplexer } from '../../src/runtime/docker/stdio-demultiplexer.ts';

const stdout = 1;
const stderr = 2;

function piece(stream: number, payload: Buffer | string): Buffer {
  const bytes = Buffer.from(payload);
  const header = Buffer.alloc(8);
  header.writeUInt8(stream, 0);
  header.writeUInt32BE(bytes.length, 4);
  return Buffer.concat([header, bytes]);
}

test('output comes out of the engine stream whole and in order, however the stream is cut', () => {
  const pieces = fc.array(fc.tuple(fc.constantFrom(stdout, stderr), fc.uint8Array({ maxLength: 40 })));
  fc.assert(
    fc.property(pieces, fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 }), (sent, cuts) => {
      const got = { stdout: [] as number[], stderr: [] as number[] };
      const demultiplexer = new StdioDemultiplexer((stream, payload) => {
        if (stream === 'stdout' || stream === 'stderr') got[stream].push(...payload);
      });
      let rest = Buffer.concat(sent.map(([stream, bytes]) => piece(stream, Buffer.from(bytes))));
      for (let index = 0; rest.length > 0; index += 1) {
        const cut = cuts[index % cuts.length] ?? 1;
        demultiplexer.push(rest.subarray(0, cut));
        rest = rest.subarray(cut);
      }
      const expected = (wanted: number) =>
        sent.filter(([stream]) => stream === wanted).flatMap(([, bytes]) => [...bytes]);
      assert.deepEqual(got.stdout, expected(stdout));
      assert.deepEqual(got.stderr, expected(stderr));
    }),
  );
});

test('a piece of 64 MiB is handed on as it comes, without being gathered', () => {
  let longest = 0;
  let byteCount = 0;
  const demultiplexer = new StdioDemultiplexer((_stream, payload) => {
    longest = Math.max(longest, payload.length);
    byteCount += payload.length;
  });
  const header = piece(stdout, '');
  header.writeUInt32BE(64 << 20, 4);
  demultiplexer.push(header);
  const chunk = Buffer.alloc(65_536);
  for (let sent = 0; sent < 64 << 20; sent += chunk.length) demultiplexer.push(chunk);
  assert.equal(byteCount, 64 << 20);
  assert.equal(longest, chunk.length);
});

test('a header that names no stream is refused', () => {
  const demultiplexer = new StdioDemultiplexer(() => undefined);
  assert.throws(() => demultiplexer.push(piece(9, 'x')), /stream 9/);
});

test('what is written reaches the engine as it is, and the guest output is read without headers', async (t) => {
  const { transport, engine } = await connected(t);
  transport.write('to the guest');
  assert.equal(String(await nextChunk(engine)), 'to the guest');
  engine.write(Buffer.concat([piece(stdout, 'from '), piece(stderr, 'noise'), piece(stdout, 'the guest')]));
  const chunks: Buffer[] = [];
  transport.on('data', (chunk: Buffer) => chunks.push(chunk));
  while (Buffer.concat(chunks).length < 'from the guest'.length) await once(transport, 'data');
  assert.equal(String(Buffer.concat(chunks)), 'from the guest');
});

test('a reader that stops reading stops the engine, and loses nothing', async (t) => {
  const { transport, engine } = await connected(t);
  const total = 32 << 20;
  const chunk = piece(stdout, Buffer.alloc(32_768, 7));
  let accepted = 0;
  const writing = (async () => {
    for (let sent = 0; sent < total; sent += 32_768) {
      if (!engine.write(chunk)) await once(engine, 'drain');
      accepted += 32_768;
    }
    engine.end();
  })();
  transport.once('readable', () => undefined);
  await stalls(() => accepted);
  assert.ok(accepted < 4 << 20, `${accepted} bytes were taken without a reader`);
  let received = 0;
  for await (const bytes of transport) received += bytes.length;
  await writing;
  assert.equal(received, total);
});

test('a write to an engine that does not read waits, and fails when the link is destroyed', async (t) => {
  const { transport } = await connected(t);
  const results: string[] = [];
  for (let count = 0; count < 64; count += 1) {
    transport.write(Buffer.alloc(1 << 20), (error) => results.push(error ? 'failed' : 'sent'));
  }
  await stalls(() => results.length);
  assert.ok(results.length < 64);
  transport.destroy();
  await once(transport, 'close');
  await stalls(() => results.length);
  assert.equal(results.length, 64);
  assert.ok(results.includes('failed'));
});

test('the memory of a write may be used again once it has settled', async (t) => {
  const { transport, engine } = await connected(t);
  const chunks: Buffer[] = [];
  engine.on('data', (chunk: Buffer) => chunks.push(Buffer.from(chunk)));
  const received = () => chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  const writes = 16;
  for (let count = 0; count < writes; count += 1) {
    const bytes = Buffer.alloc(1 << 18, 'x');
    transport.write(bytes, () => bytes.fill('-'));
  }
  while (received() < writes << 18) await once(engine, 'data');
  assert.ok(Buffer.concat(chunks).every((byte) => byte === 0x78));
});

test('an engine that ends the stream ends the link', async (t) => {
  const { transport, engine } = await connected(t);
  engine.end(piece(stdout, 'bye'));
  const chunks: Buffer[] = [];
  for await (const chunk of transport) chunks.push(chunk);
  assert.equal(String(Buffer.concat(chunks)), 'bye');
  if (!transport.closed) await once(transport, 'close');
});

test('a guest that died is reported with the end of its stderr, without control characters', async (t) => {
  const { transport, engine } = await connected(t);
  engine.end(piece(stderr, `${'x'.repeat(10_000)}\u001b[2J cannot do it\n`));
  const error = await finished(transport.resume()).then(
    () => null,
    (reason: unknown) => reason,
  );
  assert.ok(isWarmpoolError(error));
  assert.equal(error.code, 'GUEST_UNREACHABLE');
  assert.match(error.message, /cannot do it$/);
  assert.ok(error.message.length < 3_000);
  assert.ok(!error.message.includes('\u001b'));
});

test('a guest that died before the link was opened is reported as well, with what it wrote', async (t) => {
  const { transport, engine, socket } = await connected(t);
  engine.end(Buffer.concat([piece(stdout, 'out'), piece(stderr, 'cannot do it')]));
  await once(engine, 'finish');
  await stalls(() => socket.readableLength);
  let lent = '';
  const ended = finished(transport, { signal: AbortSignal.timeout(20_000) });
  transport.lend((bytes) => {
    lent += Buffer.from(bytes);
  });
  await assert.rejects(ended, /cannot do it$/);
  assert.equal(lent, 'out');
});

test('ending the link sends what was written and lets go of the connection', async (t) => {
  const { transport, engine } = await connected(t);
  transport.end('last words');
  const chunks: Buffer[] = [];
  for await (const chunk of engine) chunks.push(chunk);
  assert.equal(String(Buffer.concat(chunks)), 'last words');
  transport.resume();
  if (!transport.closed) await once(transport, 'close');
});

interface ConnectedPair {
  readonly transport: AttachTransport;
  readonly engine: Socket;
  /** As the transport was given it. */
  readonly socket: Socket;
}

async function connected(t: TestContext): Promise<ConnectedPair> {
  const folder = await mkdtemp(join(tmpdir(), 'warmpool-stream-'));
  const server = createServer({ allowHalfOpen: true });
  server.listen(join(folder, 's'));
  await once(server, 'listening');
  const accepted = once(server, 'connection');
  const socket = connect(join(folder, 's'));
  await once(socket, 'connect');
  const [engine] = (await accepted) as [Socket];
  const transport = new AttachTransport(socket);
  t.after(async () => {
    transport.on('error', () => undefined);
    transport.destroy();
    engine.destroy();
    server.close();
    await rm(folder, { recursive: true });
  });
  return { transport, engine, socket };
}

async function nextChunk(socket: Socket): Promise<Buffer> {
  const [chunk] = await once(socket, 'data');
  return chunk;
}

/** Resolves when the number has not changed over several turns of the event loop, sockets included. */
async function stalls(read: () => number): Promise<void> {
  let last = -1;
  for (let turns = 0; turns < 50; turns += 1) {
    if (read() !== last) turns = 0;
    last = read();
    await new Promise((resolve) => setImmediate(resolve));
  }
}
