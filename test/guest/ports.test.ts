import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { inputWindowBytes } from '../../protocol/limits.ts';
import { encodePortConnect, parsePortList, parsePortRecord } from '../../protocol/port-messages.ts';
import { parseStats } from '../../protocol/stats-message.ts';
import { parsed } from '../support/parsed.ts';
import { until } from '../support/until.ts';
import { type Execution, GuestDriver } from './guest-driver.ts';

/** The agent shares this machine's network here, so a server of the test is one inside the sandbox. */
describe('ports', () => {
  let guest: GuestDriver;
  const servers: Server[] = [];
  let startedMs: number;
  before(async () => {
    startedMs = performance.now();
    guest = await GuestDriver.start({ window: 10_000 });
  });
  after(async () => {
    for (const server of servers) server.close();
    await guest[Symbol.asyncDispose]();
  });

  async function listen(
    host: string,
    onConnection: (socket: Socket) => void,
    allowHalfOpen = true,
  ): Promise<number> {
    const server = createServer({ allowHalfOpen }, (socket) => {
      socket.on('error', () => undefined);
      onConnection(socket);
    });
    servers.push(server);
    server.listen(0, host);
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  }

  async function unlisten(port: number): Promise<void> {
    const server = servers.find((candidate) => (candidate.address() as AddressInfo | null)?.port === port);
    assert.ok(server !== undefined);
    server.close();
    await once(server, 'close');
  }

  const connect = (port: number, options?: { givesCredit?: boolean; window?: number }) =>
    guest.open(
      'PortConnect',
      encodePortConnect({ port, ...(options?.window && { window: options.window }) }),
      options,
    );

  /** Sends all of it as credit allows. */
  async function feed(tunnel: Execution, bytes: Buffer): Promise<void> {
    for (let sent = 0; sent < bytes.length; ) {
      await guest.until(() => inputWindowBytes + tunnel.stdinGranted > sent, 'input credit');
      const piece = bytes.subarray(sent, inputWindowBytes + tunnel.stdinGranted);
      tunnel.writeStdin(piece);
      sent += piece.length;
    }
  }

  const records = (watch: Execution) => {
    const found: { port: number; open: boolean }[] = [];
    const bytes = watch.stdout;
    for (let at = 0; at + 2 <= bytes.length; ) {
      const length = bytes.readUInt16BE(at);
      if (at + 2 + length > bytes.length) break;
      found.push(parsed(parsePortRecord(bytes.subarray(at + 2, at + 2 + length))));
      at += 2 + length;
    }
    return found;
  };

  test('lists the ports that somebody listens on, IPv4 and IPv6, in order', async () => {
    const ports = [await listen('127.0.0.1', () => undefined), await listen('::1', () => undefined)];
    const listed = parsed(parsePortList(await guest.ask('PortList')));
    for (const port of ports) assert.ok(listed.includes(port));
    assert.deepEqual(
      listed,
      [...listed].sort((a, b) => a - b),
    );
    for (const port of ports) await unlisten(port);
    const afterwards = parsed(parsePortList(await guest.ask('PortList')));
    for (const port of ports) assert.ok(!afterwards.includes(port));
  });

  test('tells a watcher what is open, and each change within a second', async () => {
    const early = await listen('127.0.0.1', () => undefined);
    const watch = guest.open('PortWatch', Uint8Array.of(0x80));
    await guest.until(() => records(watch).some(({ port }) => port === early), 'the open port');
    const late = await listen('0.0.0.0', () => undefined);
    // The agent's own second, however busy the machine: what ends later than it is told later.
    await guest.run(['sleep', '1.5']);
    await guest.roundTrip();
    assert.ok(records(watch).some(({ port, open }) => port === late && open));
    await unlisten(early);
    await guest.until(
      () => records(watch).some(({ port, open }) => port === early && !open),
      'the closed port',
    );
    await unlisten(late);
    await watch.close();
  });

  test('tells a watcher with a tiny window everything in the end', async () => {
    const port = await listen('127.0.0.1', () => undefined);
    const watch = guest.open('PortWatch', Buffer.from('\x81\xa6window\x01', 'latin1'), { window: 1 });
    await guest.until(
      () => records(watch).some((record) => record.port === port && record.open),
      'the open port',
    );
    await unlisten(port);
    await guest.until(() => records(watch).some((record) => record.port === port && !record.open), 'its end');
    await watch.close();
  });

  for (const host of ['127.0.0.1', '::1', '0.0.0.0']) {
    test(`connects to a server on ${host} and carries both directions`, async () => {
      const port = await listen(host, (socket) => socket.pipe(socket));
      const tunnel = connect(port);
      await tunnel.opened();
      const bytes = randomBytes(1_000_000);
      await feed(tunnel, bytes);
      tunnel.endStdin();
      await guest.until(() => tunnel.end !== undefined, 'End');
      assert.ok(tunnel.outputEnded);
      assert.equal(digest(tunnel.stdout), digest(bytes));
      assert.ok(tunnel.frameBytesMax <= 65_536);
    });
  }

  test('input sent before the connection stands is not lost', async () => {
    const port = await listen('::1', (socket) => socket.pipe(socket));
    const tunnel = connect(port);
    tunnel.writeStdin('early');
    tunnel.endStdin();
    await guest.until(() => tunnel.end !== undefined, 'End');
    assert.equal(tunnel.stdout.toString(), 'early');
  });

  test('refuses a port that nobody listens on', async () => {
    const port = await listen('127.0.0.1', () => undefined);
    await unlisten(port);
    assert.equal((await connect(port).refused()).code, 'connection_refused');
    for (const payload of ['', '\x80', '\x81\xa4port\x00', '\x81\xa4port\xce\x00\x01\x00\x00']) {
      const { code } = await guest.open('PortConnect', Buffer.from(payload, 'latin1')).refused();
      assert.equal(code, 'invalid_payload');
    }
  });

  test('each direction ends for itself', async () => {
    const port = await listen('127.0.0.1', (socket) => {
      socket.end('all I say');
      let heard = 0;
      socket.on('data', (chunk) => {
        heard += chunk.length;
      });
      socket.on('end', () => assert.equal(heard, 7));
    });
    const tunnel = connect(port);
    await guest.until(() => tunnel.outputEnded, 'OutputEof');
    assert.equal(tunnel.stdout.toString(), 'all I say');
    assert.equal(tunnel.end, undefined);
    tunnel.writeStdin('goes on');
    tunnel.endStdin();
    await guest.until(() => tunnel.end !== undefined, 'End');
  });

  test('holds back the peer when its output has no credit, and sees its end all the same', async () => {
    const port = await listen('127.0.0.1', (socket) => socket.end(Buffer.alloc(5000)));
    const tunnel = connect(port, { givesCredit: false, window: 5000 });
    await guest.until(() => tunnel.outputBytes === 5000, 'the window');
    await guest.until(() => tunnel.outputEnded, 'OutputEof without credit');
    tunnel.endStdin();
    await guest.until(() => tunnel.end !== undefined, 'End');
    const flood = await listen('127.0.0.1', (socket) => socket.write(Buffer.alloc(1_000_000)));
    const stalled = connect(flood, { givesCredit: false, window: 5000 });
    await guest.until(() => stalled.outputBytes === 5000, 'the window');
    await guest.roundTrip();
    assert.equal(stalled.outputBytes, 5000);
    await stalled.close();
  });

  test('says that the peer broke the connection', async () => {
    const port = await listen('127.0.0.1', (socket) => {
      socket.once('data', () => socket.resetAndDestroy());
    });
    const tunnel = connect(port);
    await tunnel.opened();
    tunnel.writeStdin('go');
    await guest.until(() => tunnel.errors.length > 0, 'the error');
    assert.equal(tunnel.errors[0]?.code, 'connection_reset');
  });

  test('closing the channel resets the connection', async () => {
    let error: Error | undefined;
    let heard = 0;
    const port = await listen('127.0.0.1', (socket) => {
      socket.on('error', (cause) => {
        error = cause;
      });
      socket.on('data', (chunk) => {
        heard += chunk.length;
      });
    });
    const tunnel = connect(port);
    await tunnel.opened();
    tunnel.writeStdin('something');
    // Node takes a reset that comes together with bytes for an end.
    await until(() => heard === 9, 'the bytes');
    await tunnel.close();
    await until(() => error !== undefined, 'the reset');
    assert.match(String(error), /ECONNRESET/);
  });

  test('more input than the window ends the tunnel', async () => {
    const port = await listen('127.0.0.1', (socket) => socket.pause());
    const tunnel = connect(port);
    await tunnel.opened();
    for (let index = 0; index < 1_000 && tunnel.errors.length === 0; index += 1) {
      tunnel.writeStdin(Buffer.alloc(65_536));
      await guest.roundTrip();
    }
    assert.equal(tunnel.errors[0]?.code, 'credit_exceeded');
  });

  test('carries many connections at once', async () => {
    const port = await listen('127.0.0.1', (socket) => socket.pipe(socket));
    const tunnels = Array.from({ length: 100 }, () => connect(port));
    for (const [index, tunnel] of tunnels.entries()) {
      await tunnel.opened();
      tunnel.writeStdin(`number ${index} `.repeat(100));
      tunnel.endStdin();
    }
    for (const [index, tunnel] of tunnels.entries()) {
      await guest.until(() => tunnel.end !== undefined, 'End');
      assert.equal(tunnel.stdout.toString(), `number ${index} `.repeat(100));
    }
  });

  test('says what the sandbox uses', async () => {
    const stats = parsed(parseStats(await guest.ask('Stats')));
    assert.ok(stats.cpuUs > 0 && stats.memoryBytes > 0 && stats.pids > 0);
    assert.ok(stats.uptimeMs <= performance.now() - startedMs + 1);
    assert.ok(stats.diskUsedBytes > 0 && stats.diskUsedBytes <= (stats.diskLimitBytes ?? 0));
  });
});

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
