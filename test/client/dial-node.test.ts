import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { after, test } from 'node:test';
import { WebSocketServer } from 'ws';
import type { ClientSocket } from '../../src/client/dial.ts';
import { dialNode } from '../../src/client/node/dial-node.ts';
import { within } from '../support/within.ts';

const servers: { close(): void }[] = [];
after(() => {
  for (const server of servers) server.close();
});

/** A server that says what the test makes of an upgrade's request, and hangs up when `isLast`. */
async function saying(answer: string, isLast = true): Promise<string> {
  const server: Server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => (isLast ? socket.end(answer) : socket.write(answer)));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  servers.push(server);
  return `ws://127.0.0.1:${(server.address() as AddressInfo).port}/x`;
}

/** A server of the package `ws`, which is somebody else's reading of the same standard. */
async function other() {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false });
  await once(server, 'listening');
  servers.push(server);
  return { server, url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/a/b?c=d` };
}

function events() {
  const messages: (Uint8Array | string)[] = [];
  const closes: (readonly [number, string])[] = [];
  let wake = () => {};
  const heard = {
    onMessage: (message: Uint8Array | string) => {
      messages.push(message);
      wake();
    },
    onClose: (code: number, reason: string) => {
      closes.push([code, reason]);
      wake();
    },
  };
  const until = async (isSo: () => boolean) => {
    while (!isSo()) {
      const next = new Promise<void>((resolve) => {
        wake = resolve;
      });
      await within(next, () => `${messages.length} messages, closes ${JSON.stringify(closes)}`);
    }
  };
  return { heard, messages, closes, until };
}

const { signal } = new AbortController();

test('what is sent arrives as it was, at every size where the form of a frame changes', async () => {
  const { server, url } = await other();
  server.on('connection', (peer) =>
    peer.on('message', (data, isBinary) => peer.send(data, { binary: isBinary })),
  );
  const { heard, messages, until } = events();
  const socket = await dialNode({ url }, heard, signal);
  const sizes = [0, 1, 47, 48, 125, 126, 4_095, 4_096, 65_535, 65_536, 65_545];
  for (const size of sizes) {
    const message = Buffer.alloc(size, `${size} `);
    const kept = Buffer.from(message);
    socket.send(message);
    socket.sendFrame?.(message.subarray(0, 9), message.subarray(9));
    // The bytes are the caller's again.
    message.fill(0);
    await until(() => messages.length === 2);
    for (const echo of messages.splice(0)) assert.ok(kept.equals(echo as Uint8Array), `${size} bytes`);
  }
  socket.close(1000, '');
});

test('more than the connection takes at once is neither lost nor mixed up', async () => {
  const { server, url } = await other();
  const received: Buffer[] = [];
  let done = () => {};
  const all = new Promise<void>((resolve) => {
    done = resolve;
  });
  server.on('connection', (peer) => {
    peer.on('message', (data) => {
      received.push(data as Buffer);
      if (received.length === 400) done();
    });
  });
  const socket = await dialNode({ url }, events().heard, signal);
  for (let index = 0; index < 400; index += 1) socket.send(Buffer.alloc(60_000, index % 251));
  await within(all, () => `${received.length} of 400 messages arrived`);
  for (const [index, message] of received.entries()) {
    assert.ok(message.equals(Buffer.alloc(60_000, index % 251)), `message ${index}`);
  }
  socket.abort();
});

test('a request carries the path, the subprotocol and the credential', async () => {
  const { server, url } = await other();
  const asked = once(server, 'connection');
  const socket = await dialNode({ url, credential: 'secret' }, events().heard, signal);
  const [, request] = await asked;
  assert.equal(request.url, '/a/b?c=d');
  assert.equal(request.headers['sec-websocket-protocol'], 'warmpool.v1');
  assert.equal(request.headers.authorization, 'Bearer secret');
  socket.abort();
});

test('a token that would begin a header of its own is not sent', async () => {
  const { url } = await other();
  await assert.rejects(dialNode({ url, credential: 'a\r\nX-Evil: 1' }, events().heard, signal), TypeError);
});

test('the end is told once: with the other side’s code, or 1006 without a goodbye', async () => {
  const { server, url } = await other();
  const endings: Record<string, (socket: ClientSocket, peer: import('ws').WebSocket) => void> = {
    '1001 gone': (_, peer) => peer.close(1001, 'gone'),
    '1005 ': (_, peer) => peer.close(),
    '1000 over': (socket) => socket.close(1000, 'over'),
    '1006 ': (_, peer) => peer.terminate(),
    ' 1006 ': (socket) => socket.abort(),
  };
  for (const [expected, end] of Object.entries(endings)) {
    const { heard, closes, until } = events();
    const connected = once(server, 'connection');
    const socket = await dialNode({ url }, heard, signal);
    const [peer] = await connected;
    const gone = once(peer, 'close');
    end(socket, peer);
    await until(() => closes.length > 0);
    await within(gone, () => `the other side of "${expected}" is still open`);
    assert.equal(closes.map(([code, reason]) => `${code} ${reason}`).join(), expected.trimStart());
    socket.send(Buffer.of(1));
    socket.close(1000, '');
  }
});

test('pings are answered with what they carry', async () => {
  const { server, url } = await other();
  const connected = once(server, 'connection');
  const socket = await dialNode({ url }, events().heard, signal);
  const [peer] = await connected;
  const answered = once(peer, 'pong');
  peer.ping('still there?');
  assert.equal(String((await within(answered, () => 'no pong'))[0]), 'still there?');
  socket.abort();
});

test('a refusal has a code, and the sentence of whoever refused', async () => {
  const refused = (status: string, body: string, headers = '') =>
    saying(`HTTP/1.1 ${status}\r\n${headers}Content-Length: ${body.length}\r\n\r\n${body}`);
  const nodes = await refused('404 Not Found', '{"error":{"code":"NOT_FOUND","message":"no such sandbox"}}');
  await assert.rejects(dialNode({ url: nodes }, events().heard, signal), {
    code: 'sandbox_not_found',
    message: /refused the connection \(404\): no such sandbox$/,
  });
  const proxys = await refused('502 Bad Gateway', 'upstream is away\nmore of it');
  await assert.rejects(dialNode({ url: proxys }, events().heard, signal), {
    code: 'unavailable',
    message: /\(502\): upstream is away$/,
  });
  const chunked = await saying('HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n');
  await assert.rejects(dialNode({ url: chunked }, events().heard, signal), { code: 'unauthenticated' });
  const open = await saying('HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\nbusy', false);
  await assert.rejects(dialNode({ url: open }, events().heard, signal), { message: /\(503\): busy$/ });
});

test('whatever else answers is no node', async () => {
  const upgraded = (headers: string) =>
    saying(`HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n${headers}\r\n`, false);
  const answers = {
    'nothing at all': await saying(''),
    'something else than HTTP': await saying('SSH-2.0-OpenSSH_9.2\r\n\r\n'),
    'a head without end': await saying('HTTP/1.1 200 OK\r\n'.padEnd(20_000, 'x'), false),
    'an accept of another key': await upgraded('Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n'),
  };
  for (const [what, url] of Object.entries(answers)) {
    await assert.rejects(dialNode({ url }, events().heard, signal), { code: 'unreachable' }, what);
  }
});

test('giving up ends the attempt with the reason of whoever gave up', async () => {
  const silent = await saying('', false);
  const stop = new AbortController();
  const attempt = dialNode({ url: silent }, events().heard, stop.signal);
  stop.abort(new Error('enough'));
  await assert.rejects(attempt, { message: 'enough' });
  await assert.rejects(dialNode({ url: silent }, events().heard, stop.signal), { message: 'enough' });
});
