import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { it } from 'node:test';
import { eventually } from '../support/bubblewrap-sandboxes.ts';
import { within } from '../support/within.ts';
import { float64 } from './msgpack-writer.ts';
import { T, textOf, type XgenClient } from './xgen-client.ts';

/** Where the acceptance of sockets is run: one sandbox, whatever carries it. */
export interface XgenPlace {
  connect(): Promise<XgenClient>;
  /** Of the process that serves it. */
  memoryBytes(): number;
}

/** Processes over a socket: points 1 to 12 and 16 to 18 of the acceptance, as tests of the suite that calls it. */
export function processAcceptance(place: () => XgenPlace): void {
  const connect = () => place().connect();

  it('1. the first frame of each of ten concurrent connections is SandboxReady', async () => {
    const clients = await Promise.all(Array.from({ length: 10 }, connect));
    for (const client of clients) {
      assert.equal(client.frames[0]?.hex, '500000000000000000');
      client[Symbol.dispose]();
    }
  });

  it('2. a Ping is answered with channel and id echoed', async () => {
    using client = await connect();
    client.sendHex('01 00000000 00000007');
    client.sendHex('01 00000005 00000008');
    assert.equal((await client.answer(7)).hex, '020000000000000007');
    assert.equal((await client.answer(8)).hex, '020000000500000008');
  });

  it('3. a command gives Ack, output and exit in this order, in the plain form and with nil', async () => {
    using client = await connect();
    for (const hex of [
      '20 00000005 00000000 83a7636f6d6d616e64a27368a46172677392a22d63a76563686f206869a3747479c2',
      '20 00000005 00000000 85a7636f6d6d616e64a27368a46172677392a22d63a76563686f206869a3656e76c0a3637764c0a3747479c2',
    ]) {
      const from = client.frames.length;
      client.sendHex(hex);
      const { frames } = await client.outcome(5, from);
      const [ack, output, exit, ...rest] = frames;
      assert.match(
        ack?.hex ?? '',
        /^04000000050000000082aa70726f636573735f6964cef8[0-9a-f]{6}a76368616e6e656c05$/,
      );
      assert.equal(output?.hex, '22000000050000000068690a');
      assert.equal(exit?.hex, '24000000050000000081a9657869745f636f646500');
      assert.deepEqual(rest, []);
    }
  });

  it('3. exit codes are the status, 128 and the signal, and 127 for a command that is not there', async () => {
    using client = await connect();
    assert.equal((await client.sh(5, 'exit 3')).exitCode, 3);
    assert.equal(
      (await client.sh(5, 'kill -9 $$')).frames.at(-1)?.hex,
      '24000000050000000081a9657869745f636f6465cc89',
    );
    const { stdout, stderr } = await client.sh(5, 'echo out; echo oops >&2');
    assert.deepEqual({ stdout, stderr }, { stdout: 'out\n', stderr: 'oops\n' });
    const missing = await client.exec(5, 'no-such-command');
    assert.deepEqual(
      missing.frames.map((frame) => frame.type),
      [T.ack, T.stderr, T.exit],
    );
    assert.match(missing.stderr, /no-such-command.*not found/);
    assert.equal(missing.exitCode, 127);
    const data = await client.exec(5, '/etc/passwd');
    assert.equal(data.exitCode, 126);
    assert.notEqual(data.stderr, '');
  });

  it('3. environment, folder and user are those of the dialect, and a request adds to them', async () => {
    using client = await connect();
    const script = 'echo "$HOME $USER $TERM $FOO" $(id -u); pwd';
    const plain = await client.sh(5, script);
    assert.equal(plain.stdout, '/home/sandbox sandbox xterm-256color  1000\n/home/sandbox/workspace\n');
    const asked = await client.sh(6, script, { env: { FOO: 'bar', BAZ: null }, cwd: '/tmp' });
    assert.equal(asked.stdout, '/home/sandbox sandbox xterm-256color bar 1000\n/tmp\n');
    await client.sh(5, 'mkdir -p sub');
    assert.equal((await client.sh(6, 'pwd', { cwd: 'sub' })).stdout, '/home/sandbox/workspace/sub\n');
    client.send(T.start, 7, 70, { command: 'pwd', cwd: '/nowhere' });
    const refused = await client.answer(70);
    assert.deepEqual([refused.type, refused.channel, refused.map.code], [T.error, 7, 'exec_failed']);
    assert.ok(!client.frames.some(({ channel, type }) => channel === 7 && type !== T.error));
  });

  it('4. on channel 0 the server takes a free channel from 101 on and says which', async () => {
    using client = await connect();
    client.sendHex('20 00000000 00000009 82a7636f6d6d616e64a474727565a46172677390');
    const ack = await client.answer(9);
    assert.match(ack.hex, /^04000000650000000982aa70726f636573735f6964cef8[0-9a-f]{6}a76368616e6e656c65$/);
    const exit = await client.find(({ type }) => type === T.exit);
    assert.deepEqual([exit.channel, exit.id], [101, 0]);
    client.send(T.start, 101, 0, { command: 'cat' });
    client.send(T.start, 0, 10, { command: 'echo', args: ['x'] });
    assert.equal((await client.answer(10)).channel, 102);
    assert.equal((await client.outcome(102)).stdout, 'x\n');
  });

  it('5. all forms of input give the same text, and raw text is never taken for a process id', async () => {
    using client = await connect();
    client.send(T.start, 6, 0, { command: 'cat' });
    const ack = await client.find(({ type }) => type === T.ack);
    const processId = Number(ack.map.process_id).toString(16);
    client.sendHex(`21 00000006 00000000 ${processId}6c730a`);
    client.sendHex('21 00000006 00000000 000000006c730a');
    client.sendHex('21 00000006 00000000 6c730a');
    client.sendHex('21 00000006 00000000 6563686f0a');
    client.sendHex('11 00000006 00000000');
    const { stdout, exitCode } = await client.outcome(6);
    assert.equal(stdout, 'ls\nls\nls\necho\n');
    assert.equal(exitCode, 0);
    assert.equal(client.frames.filter(({ type }) => type === T.ack).length, 1, 'id 0 gets no Ack');
  });

  it('5. input reaches a process by its id, whatever the channel of the frame', async () => {
    using client = await connect();
    client.send(T.start, 6, 0, { command: 'cat' });
    client.send(T.start, 7, 0, { command: 'cat' });
    const ack = await client.find(({ type, channel }) => type === T.ack && channel === 7);
    const prefix = Buffer.alloc(4);
    prefix.writeUInt32BE(Number(ack.map.process_id));
    client.send(T.stdin, 6, 0, Buffer.concat([prefix, Buffer.from('seven\n')]));
    assert.equal(await client.output(7, 'seven'), 'seven\n');
    assert.equal(textOf(client.onChannel(6), T.stdout), '');
  });

  it('5. 10,000 numbered frames sent at once, before the Ack, come back in order', async () => {
    using client = await connect();
    const lines = Array.from({ length: 10_000 }, (_, index) => `${String(index).padStart(99, '.')}\n`);
    client.send(T.start, 5, 0, { command: 'cat' });
    for (const line of lines) client.send(T.stdin, 5, 0, Buffer.concat([Buffer.alloc(4), Buffer.from(line)]));
    client.send(T.close, 5, 0);
    const { stdout, exitCode } = await client.outcome(5);
    assert.equal(exitCode, 0);
    assert.ok(stdout === lines.join(''), 'every line, in order');
  });

  it('6. 3 MiB of input and its end are counted right', async () => {
    using client = await connect();
    client.send(T.start, 5, 0, { command: 'wc', args: ['-c'] });
    for (let part = 0; part < 3; part++) client.send(T.stdin, 5, 0, Buffer.alloc(4 + 1_048_576));
    client.send(T.close, 5, 0);
    const { stdout, exitCode } = await client.outcome(5);
    assert.deepEqual([stdout.trim(), exitCode], ['3145728', 0]);
  });

  it('7. 20 MiB of random output arrive whole, and nothing after the exit', async () => {
    using client = await connect();
    const { frames, exitCode } = await client.sh(
      5,
      'head -c 20971520 /dev/urandom > /tmp/r; sha256sum < /tmp/r >&2; cat /tmp/r; rm /tmp/r',
    );
    assert.equal(exitCode, 0);
    const output = frames.filter(({ type }) => type === T.stdout).map(({ payload }) => payload);
    assert.ok(output.every((payload) => payload.length <= 16_384));
    const hash = createHash('sha256');
    for (const payload of output) hash.update(payload);
    assert.equal(
      output.reduce((sum, { length }) => sum + length, 0),
      20_971_520,
    );
    assert.equal(textOf(frames, T.stderr).split(' ')[0], hash.digest('hex'));
    await client.roundTrip();
    assert.equal(client.onChannel(5).at(-1)?.type, T.exit);
    assert.ok(frames.slice(1).every((frame) => frame.id === 0));
  });

  it('8. a child in the background does not hold up the exit', async () => {
    using client = await connect();
    const startedAt = performance.now();
    const { stdout, exitCode } = await client.sh(5, 'sleep 90 & echo x');
    assert.ok(performance.now() - startedAt < 60_000, 'long before the child ends');
    assert.deepEqual([stdout, exitCode], ['x\n', 0]);
  });

  it('9. a character written byte by byte arrives in one frame, and one that stays half is shown at the exit', async () => {
    using client = await connect();
    const script =
      "for b in '\\360' '\\237' '\\230' '\\200'; do printf $b; sleep 0.005; done; sleep 0.2; printf 'x\\303'";
    // A byte is held for 50 ms, and on a busy machine the next may be written later than that: then it is written once more.
    // What was written apart may also be read together, but never a part of a character.
    await eventually(async () => {
      const { frames } = await client.sh(5, script);
      const output = frames.filter(({ type }) => type === T.stdout);
      const shown = output.map(({ payload }) => payload.toString('hex')).join(' ');
      assert.equal(shown.replaceAll(' ', ''), 'f09f988078c3');
      return /^f09f9880 ?78 c3$/.test(shown);
    }, 'the character is whole in one frame');
  });

  it('10. a terminal has the size it is given, and a new one; sizes may be float64', async () => {
    using client = await connect();
    client.sendHex(
      '20 00000006 00000000 85a7636f6d6d616e64a92f62696e2f62617368a46172677390a3747479c3a4636f6c7350a4726f777318',
    );
    // A shell that is not back at its prompt is about to change the terminal's mode, which spoils an end-of-file
    // character that waits there. What is echoed of this line is not what it makes the prompt.
    client.send(T.stdin, 6, 0, Buffer.from("PS1='at$((1+1))> '\n"));
    await client.shows(6, /at2> $/);
    client.send(T.stdin, 6, 0, Buffer.from('stty size\n'));
    await client.shows(6, /24 80\r\n[^\n]*at2> $/);
    client.sendHex('26 00000006 00000000 82a4636f6c7378a4726f777328');
    client.send(T.stdin, 6, 0, Buffer.from('stty size\n'));
    await client.shows(6, /40 120\r\n[^\n]*at2> $/);
    client.send(T.resize, 6, 0, { cols: float64(100), rows: float64(30) });
    client.send(T.stdin, 6, 0, Buffer.from('stty size\n'));
    await client.shows(6, /30 100\r\n[^\n]*at2> $/);
    client.send(T.close, 6, 0);
    assert.equal((await client.outcome(6)).exitCode, 0, 'the end-of-file character ends the shell');
    assert.equal(textOf(client.onChannel(6), T.stderr), '');
  });

  it('10. SIGINT by channel ends a terminal command with 130, SIGTERM by process id another with 143', async () => {
    using client = await connect();
    client.send(T.start, 6, 0, { command: 'sleep', args: ['30'], tty: true });
    await client.find(({ type, channel }) => type === T.ack && channel === 6);
    client.sendHex('25 00000006 00000000 81a67369676e616ca6534947494e54');
    assert.equal((await client.outcome(6)).exitCode, 130);
    client.send(T.start, 7, 0, { command: 'sleep', args: ['30'] });
    const ack = await client.find(({ type, channel }) => type === T.ack && channel === 7);
    client.send(T.signal, 0, 0, { process_id: float64(Number(ack.map.process_id)), signal: 'SIGTERM' });
    assert.equal((await client.outcome(7)).exitCode, 143);
  });

  it('10. with an id of their own, input, signals, sizes and closes are answered once', async () => {
    using client = await connect();
    client.send(T.start, 6, 0, { command: 'cat', tty: true });
    client.send(T.stdin, 6, 61, Buffer.from('hey'));
    client.send(T.resize, 6, 62, { cols: 90, rows: 20 });
    client.send(T.signal, 6, 63, { signal: 'SIGNOTHING' });
    client.send(T.close, 8, 64);
    client.send(T.signal, 6, 65, { signal: 'SIGKILL' });
    for (const acked of [61, 62, 65]) {
      const { type, channel, map } = await client.answer(acked);
      assert.deepEqual([type, channel, map.channel, typeof map.process_id], [T.ack, 6, 6, 'number']);
    }
    assert.equal((await client.answer(63)).map.code, 'invalid_payload');
    assert.equal((await client.answer(64)).map.code, 'exec_failed');
    const exit = await client.find(({ type, channel }) => type === T.exit && channel === 6);
    assert.equal(exit.map.exit_code, 137);
  });

  it('11. a channel in use is refused on that channel, and what runs on it goes on', async () => {
    using client = await connect();
    client.send(T.start, 5, 0, { command: 'sh', args: ['-c', 'read line; echo "got $line"'] });
    client.send(T.start, 5, 0, { command: 'echo', args: ['second'] });
    const error = await client.find(({ type }) => type === T.error);
    assert.equal(
      error.hex,
      '03000000050000000082a4636f6465ae6368616e6e656c5f696e5f757365a76d657373616765b36368616e6e656c203520697320696e20757365',
    );
    client.send(T.stdin, 5, 0, Buffer.from('it\n'));
    await client.find(({ type }) => type === T.exit);
    assert.equal(textOf(client.onChannel(5), T.stdout), 'got it\n');
    assert.equal((await client.exec(5, 'echo', ['again'])).stdout, 'again\n');
  });

  it('11. the same channel on two connections does not mix', async () => {
    using one = await connect();
    using two = await connect();
    const [first, second] = await Promise.all([
      one.sh(5, 'for i in 1 2 3; do echo one; sleep 0.02; done'),
      two.sh(5, 'for i in 1 2 3; do echo two; sleep 0.02; done'),
    ]);
    assert.deepEqual([first.stdout, second.stdout], ['one\n'.repeat(3), 'two\n'.repeat(3)]);
    assert.notEqual(first.ack?.map.process_id, second.ack?.map.process_id);
  });

  it('12. an unknown type is answered with its channel and id, and on channel 0 with id 0 never', async () => {
    using client = await connect();
    client.send(T.start, 9, 0, { command: 'cat' });
    client.sendHex('12 00000005 00000003');
    assert.equal(
      (await client.answer(3)).hex,
      '03000000050000000382a4636f6465af756e6b6e6f776e5f6d657373616765a76d657373616765ba756e6b6e6f776e206d65737361676520747970653a2030783132',
    );
    client.sendHex('12 00000000 00000000');
    client.sendHex('20 00000000 00000000 c1');
    client.sendHex('33 00000000 00000000 82a470617468a5612e747874a9726563757273697665c2');
    client.sendHex('30 00000000 00000000 80');
    await client.ask(T.list, { path: '.' });
    client.send(T.stdin, 9, 0, Buffer.from('still here\n'));
    client.send(T.close, 9, 0);
    assert.deepEqual((await client.outcome(9)).stdout, 'still here\n');
    assert.deepEqual(
      client.frames.filter(({ type, id: of }) => type === T.error && of === 0),
      [],
    );
  });

  it('12. an empty command and a payload that is no map are refused', async () => {
    using client = await connect();
    client.send(T.start, 5, 51, { command: '' });
    client.send(T.start, 5, 52, { command: 'true', args: 'x' });
    client.sendHex('20 00000005 00000035 d47240');
    for (const refused of [51, 52, 0x35]) {
      const { type, channel, map } = await client.answer(refused);
      assert.deepEqual([type, channel, map.code], [T.error, 5, 'invalid_payload']);
    }
  });

  it('16. text closes with 1003, a short message is ignored, and one over 16 MiB closes with 1009', async () => {
    using text = await connect();
    text.socket.send(Buffer.from('5'), { binary: true });
    text.sendHex('01 00000000');
    await text.roundTrip();
    text.socket.send('hello');
    assert.equal((await text.closed).code, 1003);

    using large = await connect();
    const most = Buffer.alloc(16_777_216);
    most.set([0x01, 0, 0, 0, 0, 0, 0, 0, 77]);
    large.socket.send(most);
    await large.answer(77);
    large.socket.on('error', () => {});
    large.socket.send(randomBytes(17 * 1_048_576));
    assert.equal((await large.closed).code, 1009);
  });

  it('17. what a lost client ran is gone soon, on a terminal or not, even if it ignores SIGTERM', async () => {
    const client = await connect();
    client.send(T.start, 5, 0, { command: 'sleep', args: ['6001'] });
    client.send(T.start, 6, 0, { command: 'sleep', args: ['6002'], tty: true });
    client.send(T.start, 7, 0, { command: 'sh', args: ['-c', "trap '' TERM HUP; sleep 6003; sleep 6003"] });
    for (const channel of [5, 6, 7]) {
      await client.find((frame) => frame.type === T.ack && frame.channel === channel);
    }
    using watcher = await connect();
    const running = async () => (await watcher.sh(5, 'pgrep -fc "^sleep 600[123]"')).stdout.trim();
    // A shell that has begun has not begun its command.
    await eventually(async () => (await running()) === '3', 'all three run');
    client.socket.terminate();
    await eventually(async () => (await running()) === '0', 'all three are gone');
  });

  it('18. a client that does not read holds up its process, and gets every byte once it reads', async () => {
    const bytesExpected = 200 * 1_048_576;
    using client = await connect();
    let bytes = 0;
    let exited: () => void;
    const exit = new Promise<void>((resolve) => {
      exited = resolve;
    });
    client.onFrame = (frame) => {
      if (frame.type === T.stdout) bytes += frame.payload.length;
      if (frame.type === T.exit) exited();
    };
    client.socket.pause();
    const before = place().memoryBytes();
    client.send(T.start, 5, 0, { command: 'head', args: ['-c', String(bytesExpected), '/dev/zero'] });
    using watcher = await connect();
    // Stalled: what the process has read so far stays the same between two looks.
    const progress = async () => (await watcher.sh(5, 'grep rchar /proc/$(pgrep -x head)/io')).stdout;
    for (let last = ''; ; ) {
      const now = await progress();
      if (now !== '' && now === last) break;
      last = now;
    }
    assert.ok(place().memoryBytes() - before < 32 * 1_048_576, 'memory grows by less than 32 MiB');
    client.socket.resume();
    await within(exit, () => `no exit after ${bytes} bytes`);
    assert.equal(bytes, bytesExpected);
  });
}
