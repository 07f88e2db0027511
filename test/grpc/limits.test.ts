import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type ClientHttp2Session, connect as connectHttp2, constants } from 'node:http2';
import { connect as connectTcp } from 'node:net';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { grpcFixture } from '../support/grpc-fixture.ts';
import { failureOf, RawClients } from '../support/grpc-raw.ts';

const { client, address, allocator } = await grpcFixture([], { callDeadlineMs: 500 });
const mebibyte = 1024 * 1024;

test('A11 a message over 4 MiB is refused before it is read', async () => {
  using raw = new RawClients(address);
  const env = { BIG: 'x'.repeat(5 * mebibyte) };
  const failure = await failureOf((done) => raw.sandboxes.createSandbox({ template: 'base', env }, done));
  assert.equal(failure.status, 'RESOURCE_EXHAUSTED');
  await assertServing();
});

test('A11 an answer over 4 MiB is refused, too', async () => {
  const { id: sandboxId } = await client.create('base');
  const outputLimitBytes = 6 * mebibyte;
  const flood = client.exec({ sandboxId, argv: ['flood', String(5 * mebibyte)], outputLimitBytes });
  await assert.rejects(flood, { code: 'LIMIT_EXCEEDED' });
  await assertServing();
});

test('A11 a compressed bomb is inflated up to 4 MiB and no further', async () => {
  // 256 MiB of zeros in 256 KiB.
  const bomb = gzipSync(Buffer.alloc(256 * mebibyte));
  const before = process.memoryUsage.rss();
  await withHttp2(async (session) => {
    const answers = await Promise.all(
      Array.from({ length: 4 }, () => call(session, frame(bomb, true), { 'grpc-encoding': 'gzip' })),
    );
    for (const { status, message } of answers) {
      assert.equal(status, '8');
      assert.match(message, /decompresses to a size larger than 4194304/);
    }
  });
  // Far below the gibibyte that was asked for.
  assert.ok(process.memoryUsage.rss() - before < 300 * mebibyte);
  await assertServing();
});

test('A11 messages that say one thing and are another end their call only', async () => {
  const bodies: Readonly<Record<string, { readonly body: Buffer; readonly encoding?: string }>> = {
    'no message at all': { body: Buffer.alloc(0) },
    'a length of 4 GiB': { body: Buffer.from([0, 255, 255, 255, 255, 1]) },
    'half a message': { body: frame(Buffer.from('base'), false).subarray(0, 7) },
    'not protobuf': { body: frame(Buffer.from([255, 255, 255, 255, 255]), false) },
    'a group that never ends': { body: frame(Buffer.alloc(1_000, 0x0b), false) },
    'text that is not UTF-8': { body: frame(Buffer.from([10, 3, 255, 254, 253]), false) },
    'compressed, said to be gzip, and not': { body: frame(Buffer.from('nonsense'), true), encoding: 'gzip' },
    'compressed, with no encoding named': { body: frame(gzipSync('x'), true) },
    'compressed with something unknown': { body: frame(Buffer.from('x'), true), encoding: 'snappy' },
    'a flag that means nothing': { body: Buffer.from([77, 0, 0, 0, 0]) },
  };
  await withHttp2(async (session) => {
    for (const [name, { body, encoding }] of Object.entries(bodies)) {
      const { status } = await call(
        session,
        body,
        encoding === undefined ? {} : { 'grpc-encoding': encoding },
      );
      assert.notEqual(status, '0', name);
    }
  });
  await assertServing();
});

test('A11 what is no gRPC is told so, or cut off', async () => {
  await withHttp2(async (session) => {
    const json = await call(session, Buffer.from('{}'), { 'content-type': 'application/json' });
    assert.equal(json.httpStatus, 415);
    const path = await call(session, frame(Buffer.alloc(0), false), { ':path': '/warmpool.v1.Nope/Nope' });
    assert.equal(path.status, '12');
    const timeout = await call(session, frame(Buffer.alloc(0), false), { 'grpc-timeout': 'soon' });
    assert.equal(timeout.status, '13');
  });
  const [host = '', port = ''] = address.split(':');
  const starts = [
    Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
    Buffer.alloc(4_096, 0xff),
    // The preface, then a frame that is longer than any may be.
    Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), Buffer.alloc(64, 0xff)]),
  ];
  for (const bytes of starts) {
    const socket = connectTcp(Number(port), host);
    socket.on('error', () => {});
    socket.resume();
    const closed = once(socket, 'close');
    socket.write(bytes);
    await closed;
  }
  await assertServing();
});

test('A11 a thousand calls that never send their message hold up nobody, and end', async () => {
  await withHttp2(async (session) => {
    const idle = Array.from({ length: 1_000 }, () => session.request(headersOf({})));
    const statuses = idle.map(async (stream) => {
      const [headers] = await once(stream, 'response');
      stream.close();
      return headers['grpc-status'];
    });
    // Another connection is served meanwhile.
    await assertServing();
    assert.deepEqual(new Set(await Promise.all(statuses)), new Set(['4']));
  });
});

test('A11 a connection has at most 1,000 streams at a time', async () => {
  await withHttp2(async (session) => {
    assert.equal(session.remoteSettings.maxConcurrentStreams, 1_000);
  });
});

async function assertServing(): Promise<void> {
  const { id } = await client.create('base');
  assert.equal(allocator.creates.at(-1)?.template, 'base');
  await client.delete(id);
}

async function withHttp2(task: (session: ClientHttp2Session) => Promise<void>): Promise<void> {
  const session = connectHttp2(`http://${address}`);
  session.on('error', () => {});
  try {
    await once(session, 'remoteSettings');
    await task(session);
  } finally {
    session.destroy();
  }
}

function headersOf(extra: Readonly<Record<string, string>>): Record<string, string> {
  return {
    [constants.HTTP2_HEADER_METHOD]: 'POST',
    [constants.HTTP2_HEADER_PATH]: '/warmpool.v1.SandboxService/CreateSandbox',
    'content-type': 'application/grpc',
    te: 'trailers',
    ...extra,
  };
}

interface Answer {
  readonly httpStatus: number;
  readonly status: string | undefined;
  readonly message: string;
}

async function call(
  session: ClientHttp2Session,
  body: Buffer,
  extra: Readonly<Record<string, string>>,
): Promise<Answer> {
  const stream = session.request(headersOf(extra));
  stream.on('error', () => {});
  let trailers: Record<string, unknown> = {};
  stream.on('trailers', (received: Record<string, unknown>) => {
    trailers = received;
  });
  stream.resume();
  stream.end(body);
  const [headers] = await once(stream, 'response');
  if (!stream.closed) await once(stream, 'close');
  const all = { ...headers, ...trailers };
  return {
    httpStatus: Number(headers[':status']),
    status: all['grpc-status'] === undefined ? undefined : String(all['grpc-status']),
    message: decodeURI(String(all['grpc-message'] ?? '')),
  };
}

function frame(message: Buffer, compressed: boolean): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(compressed ? 1 : 0, 0);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}
