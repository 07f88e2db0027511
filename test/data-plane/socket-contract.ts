import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { describe, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { WebSocket } from 'ws';
import type { DataSocket } from '../../src/data-plane/data-socket.ts';
import { SendQueues } from '../../src/data-plane/send-queues.ts';
import { until } from '../support/until.ts';
import { within } from '../support/within.ts';
import { closeOf, messageBytesMax, type SocketAdapter, SocketFixture } from './socket-fixture.ts';

/** What a session may rely on, whichever adapter carries its socket. */
export function socketContract(adapter: SocketAdapter): void {
  describe(`a data socket of ${adapter.name}`, { skip: adapter.skip }, () => {
    test('carries binary messages of every size both ways, whole and in order', async () => {
      await using fixture = await SocketFixture.start(adapter);
      const { client, session } = await fixture.both();
      session.echoes = true;
      const sizes = [0, 1, 9, 125, 126, 127, 4_096, 16_384, 65_535, 65_536, messageBytesMax];
      const messages = [...sizes, ...sizes].map((size) => randomBytes(size));
      const got: Buffer[] = [];
      client.on('message', (data: Buffer) => got.push(data));
      for (const message of messages) client.send(message);
      await until(() => got.length === messages.length, 'every echo');
      assert.ok(got.every((message, index) => message.equals(messages[index] ?? Buffer.alloc(0))));
      assert.ok(session.messages.every(({ isBinary }) => isBinary));
      client.terminate();
    });

    test('tells text from bytes, and puts fragments together', async () => {
      await using fixture = await SocketFixture.start(adapter);
      const { client, session } = await fixture.both();
      client.send('text');
      client.send(Buffer.from('fra'), { fin: false });
      client.send(Buffer.from('gments'), { fin: true });
      await session.until(({ messages }) => messages.length === 2);
      assert.deepEqual(
        session.messages.map(({ bytes, isBinary }) => [bytes.toString(), isBinary]),
        [
          ['text', false],
          ['fragments', true],
        ],
      );
      client.terminate();
    });

    // The addon looks once more at the memory of the request that it has upgraded: a flag of it may be anything by then.
    test('stays open, whatever its session keeps in memory that was free', async () => {
      const kept: Uint8Array[] = [];
      const keep = (socket: DataSocket) => {
        for (let count = 0; count < 50; count += 1)
          kept.push(new Uint8Array(new ArrayBuffer(16 + count * 16)).fill(0x10));
        void setImmediate().then(() => socket.send(Buffer.from('open')));
      };
      const admit = async () => {
        await setImmediate();
        return 'admit' as const;
      };
      await using fixture = await SocketFixture.start(adapter, { admit, onOpen: keep });
      for (let count = 0; count < 500; count += 1) {
        const client = new WebSocket(fixture.url, { perMessageDeflate: false });
        const said = await within(
          Promise.race([once(client, 'message'), once(client, 'close')]),
          () => 'news',
        );
        assert.equal(String(said[0]), 'open', `connection ${count}`);
        client.terminate();
      }
    });

    test('never compresses, though the client offers it', async () => {
      await using fixture = await SocketFixture.start(adapter);
      const { client } = await fixture.both({ perMessageDeflate: true });
      assert.equal(client.extensions, '');
      client.terminate();
    });

    test('closes with 1009 when a message is over the limit, and hands nothing of it on', async () => {
      await using fixture = await SocketFixture.start(adapter);
      const { client, session } = await fixture.both();
      const closed = closeOf(client);
      client.send(randomBytes(messageBytesMax + 1));
      assert.equal((await closed).code, 1009);
      assert.equal(session.messages.length, 0);
      await session.until(({ closes }) => closes.length === 1);
    });

    test('cuts a message far over the limit without collecting it', async () => {
      await using fixture = await SocketFixture.start(adapter);
      const { client, session } = await fixture.both();
      const closed = closeOf(client);
      client.send(randomBytes(8 * 1024 * 1024));
      assert.ok([1006, 1009].includes((await closed).code));
      assert.equal(session.messages.length, 0);
      await session.until(({ closes }) => closes.length === 1);
    });

    test('closes with the code and reason asked for, behind everything that was sent before', async () => {
      await using fixture = await SocketFixture.start(adapter);
      const { client, session } = await fixture.both();
      const got: number[] = [];
      client.on('message', (data: Buffer) => got.push(data.length));
      const closed = closeOf(client);
      const sizes = Array.from({ length: 30 }, (_, index) => index * 1_000);
      session.socket.cork(() => {
        for (const size of sizes) session.socket.send(Buffer.alloc(size));
      });
      session.socket.close(4400, `too ${'lóng '.repeat(40)}`);
      const { code, reason } = await closed;
      assert.equal(code, 4400);
      assert.deepEqual(got, sizes);
      // Cut to what a close frame holds, and not inside a character.
      assert.ok(Buffer.byteLength(reason) <= 123 && Buffer.byteLength(reason) > 118, reason);
      assert.ok(!reason.includes('\ufffd'));
      assert.deepEqual(session.closes, [4400]);
    });

    test('says with which code the client closed, and echoes it', async () => {
      await using fixture = await SocketFixture.start(adapter);
      for (const [asked, told] of [
        [1000, 1000],
        [4321, 4321],
        [undefined, 1005],
      ] as const) {
        const { client, session } = await fixture.both();
        const closed = closeOf(client);
        client.close(asked);
        assert.equal((await closed).code, told);
        await session.until(({ closes }) => closes.length > 0);
        assert.deepEqual(session.closes, [told]);
      }
      const { client, session } = await fixture.both();
      client.terminate();
      await session.until(({ closes }) => closes.length > 0);
      assert.deepEqual(session.closes, [1006]);
    });

    test('shows 1006 to a client that it terminates', async () => {
      await using fixture = await SocketFixture.start(adapter);
      const { client, session } = await fixture.both();
      const closed = closeOf(client);
      session.socket.terminate();
      assert.equal((await closed).code, 1006);
      assert.deepEqual(session.closes, [1006]);
    });

    test('tells nothing and does nothing once it is closed', async () => {
      await using fixture = await SocketFixture.start(adapter);
      const { client, session } = await fixture.both();
      session.onMessageHook = () => session.socket.close(4400, 'enough');
      const got: Buffer[] = [];
      client.on('message', (data: Buffer) => got.push(data));
      const closed = closeOf(client);
      for (let index = 0; index < 50; index += 1) client.send(Buffer.from([index]));
      assert.equal((await closed).code, 4400);
      assert.equal(session.messages.length, 1);
      session.socket.send(Buffer.from('late'));
      session.socket.cork(() => session.socket.send(Buffer.from('late')));
      session.socket.close(1000, 'again');
      session.socket.terminate();
      assert.equal(session.socket.bufferedBytes, 0);
      assert.deepEqual(session.closes, [4400]);
      assert.deepEqual(got, []);
    });

    test('may be closed, and sent on, before the session is known', async () => {
      await using fixture = await SocketFixture.start(adapter, {
        onOpen: (socket) => {
          socket.send(Buffer.from('first'));
          socket.close(4401, 'no sooner opened than closed');
        },
      });
      const got: string[] = [];
      const client = await fixture.connect();
      client.on('message', (data: Buffer) => got.push(data.toString()));
      assert.equal((await closeOf(client)).code, 4401);
      const session = await fixture.session(0);
      await session.until(({ closes }) => closes.length === 1);
      assert.deepEqual(session.closes, [4401]);
      await until(() => fixture.door.size === 0, 'the door to forget it');
    });

    test('R4 keeps what a slow client does not read, says how much that is, and loses none of it', async () => {
      await using fixture = await SocketFixture.start(adapter, {
        queues: new SendQueues({ socketBytesMax: 64 * 1024 * 1024 }),
      });
      const { client, session } = await fixture.both();
      client.pause();
      const pieceBytes = 60_000;
      const pieceOf = (index: number) => Buffer.alloc(pieceBytes, index + 1);
      // The memory is the caller's again after each send, and written over.
      const lent = Buffer.alloc(pieceBytes);
      let sent = 0;
      // More than the kernel's buffers of both ends take.
      while (session.socket.bufferedBytes < 4_000_000) {
        lent.set(pieceOf(sent));
        session.socket.send(lent);
        sent += 1;
      }
      lent.fill(0);
      assert.ok(fixture.queues.totalBytes >= 4_000_000);
      let got = 0;
      client.on('message', (data: Buffer) => {
        assert.ok(data.equals(pieceOf(got)), `piece ${got} of ${sent}`);
        got += 1;
      });
      client.resume();
      await until(() => got === sent, 'everything that waited');
      await session.until(({ socket }) => socket.bufferedBytes === 0);
      assert.ok(session.drains > 0);
      await until(() => fixture.queues.totalBytes === 0, 'the queues to be counted as empty');
      client.terminate();
    });

    test('R4 closes with 1013 a client that lets its queue run full; the others go on', async () => {
      const queues = new SendQueues({ socketBytesMax: 1_000_000 });
      await using fixture = await SocketFixture.start(adapter, { queues });
      const frozen = await fixture.both();
      const other = await fixture.both();
      other.session.echoes = true;
      frozen.client.pause();
      for (let sent = 0; sent < 2_000 && frozen.session.closes.length === 0; sent += 1) {
        frozen.session.socket.send(Buffer.alloc(60_000));
        assert.ok(queues.totalBytes <= 1_100_000, `${queues.totalBytes} bytes are waiting`);
      }
      assert.deepEqual(frozen.session.closes, [1013]);
      assert.equal(queues.totalBytes, 0);
      const echoed = once(other.client, 'message');
      other.client.send(Buffer.from('still here'));
      const [echo] = await within(echoed, () => 'the echo of another client');
      assert.equal(String(echo), 'still here');
      const closed = closeOf(frozen.client);
      frozen.client.resume();
      assert.equal((await closed).code, 1013);
      other.client.terminate();
    });

    test('I14 closes whoever would take the queues of all clients together over their bound', async () => {
      const queues = new SendQueues({ socketBytesMax: 8_000_000, totalBytesMax: 3_000_000 });
      await using fixture = await SocketFixture.start(adapter, { queues });
      const clients = [await fixture.both(), await fixture.both(), await fixture.both()];
      for (const { client } of clients) client.pause();
      for (let sent = 0; sent < 900; sent += 1) {
        for (const { session } of clients) session.socket.send(Buffer.alloc(20_000));
        assert.ok(queues.totalBytes <= 3_100_000);
      }
      assert.ok(clients.some(({ session }) => session.closes[0] === 1013));
      for (const { client } of clients) client.terminate();
    });

    test('R4 finds a client that answers no pings within two of them, and keeps one that does', async () => {
      // Two such pauses of the whole machine in a row would cut the good one too.
      const pingMs = 200;
      await using fixture = await SocketFixture.start(adapter, { pingMs });
      const alive = await fixture.both();
      let pings = 0;
      alive.client.on('ping', () => {
        pings += 1;
      });
      const startedMs = performance.now();
      const vanished = await fixture.both({ autoPong: false });
      const frozen = await halfOpen(fixture.port);
      const frozenSession = await fixture.session(2);
      await Promise.all([
        vanished.session.until(({ closes }) => closes.length === 1),
        frozenSession.until(({ closes }) => closes.length === 1),
      ]);
      assert.deepEqual(vanished.session.closes, [1006]);
      assert.deepEqual(frozenSession.closes, [1006]);
      // Two pings unanswered, and the third in their place; the rest is room for a busy machine.
      assert.ok(performance.now() - startedMs >= 2 * pingMs);
      await until(() => pings >= 5, 'pings for the one that answers');
      assert.deepEqual(alive.session.closes, []);
      frozen.destroy();
      alive.client.terminate();
    });

    test('R5 survives bytes that are no frames: each closes its own socket', async () => {
      await using fixture = await SocketFixture.start(adapter);
      const good = await fixture.both();
      good.session.echoes = true;
      const wrong: Readonly<Record<string, Buffer>> = {
        'a reserved opcode': Buffer.from([0x83, 0x80, 0, 0, 0, 0]),
        'reserved bits': Buffer.from([0xf2, 0x80, 0, 0, 0, 0]),
        'a fragmented ping': Buffer.from([0x09, 0x80, 0, 0, 0, 0]),
        'a ping of 126 bytes': Buffer.from([0x89, 0xfe, 0, 126, 0, 0, 0, 0]),
        'a length of 2^63': Buffer.from([0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        'a length of 2^53': Buffer.from([0x82, 0xff, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        'text that is not UTF-8': Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0xc3, 0x28]),
        'a continuation of nothing': Buffer.from([0x80, 0x80, 0, 0, 0, 0]),
        noise: randomBytes(4_096),
      };
      for (const [what, bytes] of Object.entries(wrong)) {
        const index = fixture.sessions.length;
        const raw = await halfOpen(fixture.port);
        const session = await fixture.session(index);
        raw.write(bytes);
        if (what !== 'noise') await session.until(({ closes }) => closes.length === 1);
        raw.destroy();
        await session.until(({ closes }) => closes.length === 1);
        assert.ok(
          session.messages.every(({ isBinary }) => what === 'noise' || what.startsWith('text') || !isBinary),
          what,
        );
      }
      good.client.send(Buffer.from('on'));
      const [echo] = await within(once(good.client, 'message'), () => 'the echo of the good client');
      assert.equal(String(echo), 'on');
      good.client.terminate();
    });

    test('counts what it receives and sends, and forgets every socket', async () => {
      const counted = { received: 0, sent: 0, opened: 0, closes: [] as number[] };
      await using fixture = await SocketFixture.start(adapter, {
        observer: {
          upgradeAnswered() {},
          connectionOpened() {
            counted.opened += 1;
          },
          connectionClosed(code) {
            counted.closes.push(code);
          },
          channelOpened() {},
          channelEnded() {},
          received(bytes) {
            counted.received += bytes;
          },
          sent(bytes) {
            counted.sent += bytes;
          },
        },
      });
      const { client, session } = await fixture.both();
      session.echoes = true;
      client.send(Buffer.alloc(100));
      client.send(Buffer.alloc(23));
      await session.until(({ messages }) => messages.length === 2);
      client.close(1000);
      await session.until(({ closes }) => closes.length === 1);
      assert.deepEqual(counted, { received: 123, sent: 123, opened: 1, closes: [1000] });
      assert.equal(fixture.door.size, 0);
    });
  });
}

/** A client of bare TCP that upgrades and then does nothing by itself. */
export async function halfOpen(port: number, path = '/sandboxes/box'): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.write(
    [
      `GET ${path} HTTP/1.1`,
      'Host: localhost',
      'Upgrade: websocket',
      'Connection: Upgrade',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
      'Sec-WebSocket-Version: 13',
      '\r\n',
    ].join('\r\n'),
  );
  await within(once(socket, 'data'), () => `the upgrade of ${path}`);
  return socket;
}
