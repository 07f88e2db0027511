import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { buildGuest } from '../../guest/build.mjs';
import { encodeExecStart } from '../../protocol/exec-messages.ts';
import { resyncPaddingBytes } from '../../protocol/link-framing.ts';
import { messageTypes } from '../../protocol/message-types.ts';
import { encodeHello } from '../../protocol/session-messages.ts';
import { parsed } from '../support/parsed.ts';
import { until } from '../support/until.ts';
import { within } from '../support/within.ts';
import { defaultEnv, firstNonce, GuestDriver, linkFrame } from './guest-driver.ts';
import { isAlive } from './host-processes.ts';

const secondNonce = new Uint8Array(16).fill(2);

describe('the link', () => {
  test('Hello is answered with Welcome, before which nothing is done', async () => {
    await using guest = new GuestDriver();
    guest.send('Ping', 0, Buffer.from('early'), 3);
    assert.equal((await guest.nextError()).code, 'unknown_message');
    const welcome = await guest.hello();
    assert.equal(welcome.pid, guest.pid);
    assert.equal(welcome.uid, process.getuid?.());
    assert.equal(welcome.channelsMax, 1024);
    assert.ok(welcome.window >= 1 && welcome.window <= 1_048_576);
  });

  test('a Hello that is not one is refused', async () => {
    await using guest = new GuestDriver();
    const good = encodeHello({ nonce: firstNonce, window: 1 });
    const bad = [
      Buffer.alloc(0),
      good.subarray(0, -1),
      encodeHello({ nonce: firstNonce, window: 0 }),
      encodeHello({ nonce: firstNonce, window: 1_048_577 }),
      encodeHello({ nonce: firstNonce.subarray(1), window: 1 }),
      Buffer.from(Buffer.from(good).toString('latin1').replace('version\x01', 'version\x02'), 'latin1'),
    ];
    for (const payload of bad) {
      guest.send('Hello', 0, payload, 1);
      assert.equal((await guest.nextError()).code, 'invalid_payload');
    }
    guest.send('Hello', 5, good, 1);
    assert.equal((await guest.nextError()).code, 'invalid_payload');
    await guest.hello();
  });

  test('Ping comes back as Pong with its bytes and id', async () => {
    await using guest = await GuestDriver.start();
    for (const size of [0, 1, 64]) {
      const payload = Buffer.alloc(size, 7);
      guest.send('Ping', 0, payload, 1234);
      const { type, id, payload: answer } = await guest.next();
      assert.deepEqual([type, id, Buffer.from(answer)], [messageTypes.Pong.code, 1234, payload]);
    }
    guest.send('Ping', 0, Buffer.alloc(65), 1);
    assert.equal((await guest.nextError()).code, 'invalid_payload');
  });

  test('a type that is unknown or not the node’s is answered with unknown_message', async () => {
    await using guest = await GuestDriver.start();
    for (const type of [0x00, 0x03, 0x04, 0x22, 0x23, 0x24, 0x61, 0x7f, 0xff]) {
      guest.sendBytes(linkFrame(type, 9, 77, new Uint8Array(3)));
      const error = await guest.next();
      assert.deepEqual([error.type, error.channel, error.id], [messageTypes.Error.code, 9, 77]);
      assert.ok(Buffer.from(error.payload).includes('unknown_message'));
    }
  });

  test('frames may come byte by byte, and many in one piece', async () => {
    await using guest = await GuestDriver.start();
    for (const byte of linkFrame(messageTypes.Ping.code, 0, 1, Buffer.from('slow'))) {
      guest.sendBytes(Uint8Array.of(byte));
      await new Promise(setImmediate);
    }
    await guest.next((frame) => frame.id === 1);
    const many = Array.from({ length: 500 }, (_, index) =>
      linkFrame(messageTypes.Ping.code, 0, index + 2, Buffer.from('many')),
    );
    guest.sendBytes(Buffer.concat(many));
    for (let id = 2; id < 502; id += 1) assert.equal((await guest.next()).id, id);
  });

  test('a second Hello kills the processes of the first epoch and forgets its channels', async () => {
    await using guest = await GuestDriver.start();
    const old = guest.begin(['sh', '-c', 'sleep 1000 & echo $!; wait'], {}, 1);
    const pid = await old.started();
    await old.says('\n');
    const child = Number(old.stdout.toString());
    const flood = guest.begin(['cat', '/dev/zero'], {}, 2);
    await guest.until(() => flood.outputBytes > 1_000_000, 'output');
    await guest.hello(secondNonce);
    for (const dead of [pid, child, await flood.started()])
      await until(() => !isAlive(dead), `${dead} being gone`);
    // The same channel is free again, and no old frame follows: the driver would object to output before Ack.
    const fresh = guest.begin(['echo', 'fresh'], {}, 1);
    await fresh.exited();
    assert.equal(fresh.stdout.toString(), 'fresh\n');
    const other = guest.begin(['echo', 'other'], {}, 2);
    await other.exited();
    assert.equal(other.stdout.toString(), 'other\n');
  });

  test('finds a Hello behind a half frame and the padding, whatever the half frame held', async () => {
    const command = parsed(
      encodeExecStart({
        argv: ['touch', '/never'],
        env: defaultEnv,
        cwd: '/',
        user: '',
        stdin: false,
        timeoutMs: 0,
      }),
    );
    const evil = linkFrame(messageTypes.ExecStart.code, 66, 66, command);
    const stdin = linkFrame(messageTypes.Input.code, 1, 1, Buffer.concat([evil, Buffer.alloc(40_000, 'W')]));
    for (const cut of [1, 3, 4, 7, 8, 16, 17, 18, 17 + evil.length, stdin.length - 5, stdin.length - 1]) {
      await using guest = await GuestDriver.start();
      guest.sendBytes(stdin.subarray(0, cut));
      guest.sendBytes(new Uint8Array(resyncPaddingBytes));
      await guest.hello(secondNonce);
      await guest.roundTrip();
      const { stdout } = await guest.run(['echo', 'in step']);
      assert.equal(stdout.toString(), 'in step\n');
    }
  });

  test('noise, a wrong trailer and a length over the limit are passed over', async () => {
    await using guest = await GuestDriver.start();
    const ping = (id: number) => linkFrame(messageTypes.Ping.code, 0, id, Buffer.from('ok'));
    const wrongTrailer = ping(50);
    wrongTrailer[wrongTrailer.length - 1] = 0;
    const tooLong = ping(51);
    new DataView(tooLong.buffer).setUint32(4, 65_537);
    guest.sendBytes(
      Buffer.concat([Buffer.from('noise WPL WPL0'), ping(1), wrongTrailer, ping(2), tooLong, ping(3)]),
    );
    for (const id of [1, 2, 3]) assert.equal((await guest.next()).id, id);
  });

  test('G9 the end of its input ends it, and every process with it (--link=once)', async () => {
    await using guest = await GuestDriver.start();
    const sleeper = guest.begin(['sleep', '1000']);
    const pid = await sleeper.started();
    guest.input.end();
    assert.equal(await guest.ended(), 0);
    await until(() => !isAlive(pid), 'the process');
  });

  test('an output that nobody reads any more ends it too (--link=once)', async () => {
    await using guest = await GuestDriver.start();
    guest.output.destroy();
    guest.send('Ping', 0, Buffer.from('x'), 1);
    assert.equal(await guest.ended(), 0);
  });

  test('SIGTERM ends it with 0, and every process with it', async () => {
    await using guest = await GuestDriver.start();
    const pid = await guest.begin(['sh', '-c', 'trap "" TERM; sleep 1000']).started();
    guest.process.kill('SIGTERM');
    assert.equal(await guest.ended(), 0);
    await until(() => !isAlive(pid), 'the process');
  });

  test('G9 with --link=reattach the end of its input and a broken output leave it running, and idle', async () => {
    await using guest = await GuestDriver.start({ args: ['--link=reattach'] });
    const sleeper = guest.begin(['sleep', '1000']);
    const pid = await sleeper.started();
    guest.output.destroy();
    guest.send('Ping', 0, Buffer.from('x'), 1);
    guest.input.end();
    await within(once(guest.input, 'close'), () => 'the input of the agent being closed');
    const before = cpuTicks(guest.pid);
    // What it uses up in a time cannot be seen without letting the time pass.
    const watchedMs = 300;
    await new Promise((resolve) => setTimeout(resolve, watchedMs));
    assert.ok(isAlive(guest.pid) && isAlive(pid));
    assert.ok(cpuTicks(guest.pid) - before <= 2, 'it does not spin');
    guest.process.kill('SIGTERM');
    assert.equal(await guest.ended(), 0);
    await until(() => !isAlive(pid), 'the process');
  });

  test('G9 with --link=reattach a new writer of its input is served again', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'warmpool-guest-link-'));
    const fifo = join(folder, 'input');
    spawnSync('mkfifo', [fifo]);
    const child = spawn('sh', ['-c', `exec ${buildGuest().path} --link=reattach < ${fifo}`], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      for (const nonce of [firstNonce, secondNonce]) {
        const writer = await within(open(fifo, 'w'), () => 'the agent opening its input');
        const answer = once(child.stdout, 'data');
        const hello = encodeHello({ nonce, window: 1000 });
        await writer.write(linkFrame(messageTypes.Hello.code, 0, 1, hello));
        const [bytes] = (await within(answer, () => 'Welcome over the new writer')) as [Buffer];
        assert.ok(bytes.includes(Buffer.from(nonce)));
        await writer.close();
      }
      assert.equal(child.exitCode, null);
    } finally {
      child.kill('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test('speaks over a socket that is both ends', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    assert.ok(address !== null && typeof address === 'object');
    // bash's /dev/tcp gives one socket to both descriptors, as a socketpair does.
    const script = `exec 3<>/dev/tcp/127.0.0.1/${address.port}; exec ${buildGuest().path} <&3 >&3 3>&-`;
    const connected = once(server, 'connection');
    const child = spawn('bash', ['-c', script], { stdio: ['ignore', 'ignore', 'inherit'] });
    try {
      const [socket] = (await within(connected, () => 'bash connecting')) as [Socket];
      const answer = once(socket, 'data');
      socket.write(
        linkFrame(messageTypes.Hello.code, 0, 1, encodeHello({ nonce: firstNonce, window: 1000 })),
      );
      const [bytes] = (await within(answer, () => 'Welcome over the socket')) as [Buffer];
      assert.equal(bytes[8], messageTypes.Welcome.code);
      const ended = once(child, 'exit');
      socket.end();
      assert.deepEqual(await within(ended, () => 'the end of the agent'), [0, null]);
    } finally {
      child.kill('SIGKILL');
      server.close();
    }
  });

  test('refuses arguments it does not know, and says its version', () => {
    const run = (...args: string[]) => spawnSync(buildGuest().path, args, { encoding: 'utf8', input: '' });
    assert.match(run('--version').stdout, /^warmpool-guest \d+\.\d+\.\d+\n$/);
    for (const args of [['--what'], ['--nofile=0'], ['--nofile=x'], ['--fsize=-1'], ['--link=maybe']]) {
      const { status, stderr } = run(...args);
      assert.equal(status, 1);
      assert.match(stderr, /usage: warmpool-guest/);
    }
  });
});

/** User and system time of a process, in ticks. */
function cpuTicks(pid: number): number {
  const { stdout } = spawnSync('cat', [`/proc/${pid}/stat`], { encoding: 'utf8' });
  const fields = stdout.slice(stdout.lastIndexOf(')') + 2).split(' ');
  return Number(fields[11]) + Number(fields[12]);
}
