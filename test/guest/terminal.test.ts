import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { buildGuest } from '../../guest/build.mjs';
import { inputWindowBytes } from '../../protocol/limits.ts';
import { until } from '../support/until.ts';
import { defaultEnv, type Execution, GuestDriver } from './guest-driver.ts';
import { isAlive, killProcess } from './host-processes.ts';

const tty = { cols: 100, rows: 30 };
const rootOnly = { skip: process.getuid?.() === 0 ? false : 'needs root' };
const [signalInterrupt, signalQuit, signalUser1, signalHangup] = [2, 3, 10, 1];

describe('terminals', () => {
  let guest: GuestDriver;
  before(async () => {
    guest = await GuestDriver.start();
  });
  after(() => guest[Symbol.asyncDispose]());

  async function bash(): Promise<Execution> {
    const shell = guest.begin(['bash', '--norc', '--noprofile', '-i'], {
      tty,
      env: { PATH: '/usr/bin:/bin', PS1: 'ready> ' },
    });
    await shell.says('ready> ');
    return shell;
  }

  /** What the shell says when asked; the question is echoed and does not count. */
  async function answer(shell: Execution, command: string): Promise<string> {
    const before = shell.stdout.length;
    shell.writeStdin(`echo "<<$(${command})>>"\n`);
    const said = () => /<<(?!\$\()(.*?)>>\r\n/s.exec(shell.stdout.subarray(before).toString());
    await guest.until(() => said() !== null, `the answer of ${command}`);
    return said()?.[1] ?? '';
  }

  test('a process gets a controlling terminal of its own, with a size and a type', async () => {
    const { stdout, exit } = await guest.run(['sh', '-c', 'tty; stty size; echo $TERM; ps -o tpgid= -p $$'], {
      tty,
    });
    const [name, size, type, foreground] = stdout.toString().split('\r\n');
    assert.match(name ?? '', /^\/dev\/pts\/\d+$/);
    assert.deepEqual([size, type, exit?.exitCode], ['30 100', 'xterm-256color', 0]);
    assert.ok(Number(foreground) > 1);
  });

  test('its type is that of the request when there is one', async () => {
    const { stdout } = await guest.run(['sh', '-c', 'echo $TERM'], {
      tty,
      env: { ...defaultEnv, TERM: 'dumb' },
    });
    assert.equal(stdout.toString(), 'dumb\r\n');
  });

  test('stderr comes as Output too', async () => {
    const { stdout, stderr } = await guest.run(['sh', '-c', 'echo out; echo err >&2'], { tty });
    assert.deepEqual([stdout.toString(), stderr.length], ['out\r\nerr\r\n', 0]);
  });

  test('a command has the terminal and nothing else open', async () => {
    const { stdout } = await guest.run(['ls', '/proc/self/fd'], { tty });
    assert.deepEqual(stdout.toString().trim().split(/\s+/), ['0', '1', '2', '3']);
  });

  test('refuses a size that is none, and a terminal without stdin', async () => {
    for (const size of [
      { cols: 0, rows: 1 },
      { cols: 1, rows: 10_001 },
    ]) {
      assert.equal(await guest.refusal(['true'], { tty: size }), 'invalid_payload');
    }
    assert.equal(await guest.refusal(['true'], { tty, stdin: false }), 'invalid_payload');
  });

  test('ExecResize changes its size and tells the process', async () => {
    const shell = guest.begin(
      ['bash', '-c', 'trap "stty size" WINCH; echo go; while :; do sleep 0.05; done'],
      {
        tty,
      },
    );
    await shell.says('go');
    shell.resize(133, 44);
    await shell.says('44 133');
    guest.send('ExecResize', shell.channel, Buffer.from('\x81\xa4cols\x01', 'latin1'));
    await guest.until(() => shell.errors.length === 1, 'the refusal');
    assert.equal(shell.errors[0]?.code, 'invalid_payload');
    shell.signal(9);
    await shell.exited();
  });

  test('the shell has job control: ^C ends a job, ^Z stops it, fg goes on', async () => {
    const shell = await bash();
    shell.writeStdin('sleep 1000; echo "status $?"\n');
    await until(() => sleeping(shell).length === 1, 'the job');
    shell.writeStdin('\x03');
    await guest.roundTrip();
    assert.equal(await answer(shell, 'echo alive'), 'alive');
    shell.writeStdin('sleep 1001\n');
    await until(() => sleeping(shell).length === 1, 'the job');
    shell.writeStdin('\x1a');
    await shell.says('Stopped');
    assert.match(await answer(shell, 'jobs -l'), /Stopped/);
    shell.writeStdin('fg\n');
    await until(() => sleeping(shell).some(({ state }) => state === 'S'), 'the job going on');
    shell.writeStdin('\x03');
    assert.equal(await answer(shell, 'jobs -l'), '');
    shell.writeStdin('exit 7\n');
    assert.equal((await shell.exited()).exitCode, 7);
  });

  test('ExecSignal of a key’s signal goes to the foreground group, of any other to both', async () => {
    const shell = await bash();
    shell.writeStdin('trap "echo got usr1" USR1\n');
    const inner = 'trap "echo inner; exit" USR1; echo on; while :; do sleep 0.05; done';
    shell.writeStdin(`bash -c '${inner}'\n`);
    await shell.says('on\r\n');
    shell.signal(signalUser1);
    await shell.says('inner\r\n');
    await shell.says('got usr1\r\n');
    shell.writeStdin(
      'bash -c "trap \\"echo caught int; exit\\" INT; echo up; while :; do read -t 9; done"\n',
    );
    await shell.says('up\r\n');
    shell.signal(signalInterrupt);
    await shell.says('caught int\r\n');
    assert.equal(await answer(shell, 'echo still here'), 'still here');
    shell.writeStdin('sleep 1000; echo "status $?"\n');
    await until(() => sleeping(shell).length === 1, 'the job');
    shell.signal(signalQuit);
    await shell.says('status 131');
    shell.signal(signalHangup);
    assert.equal((await shell.exited()).signal, signalHangup);
  });

  test('G3 a process cannot type into its terminal, nor load a line discipline', async () => {
    const attempt = (request: string, argument: string) =>
      `$a = ${argument}; ioctl(STDIN, ${request}, $a) or print "refused: $!\n";`;
    const script = `${attempt('0x5412', '"x"')} ${attempt('0x5423', 'pack("i", 1)')} ${attempt('0x541c', '"\x02"')}`;
    const { stdout } = await guest.run(['perl', '-e', script], { tty });
    assert.equal(stdout.toString(), 'refused: Operation not permitted\r\n'.repeat(3));
  });

  test('InputEof is the end-of-file character, and input may follow it', async () => {
    const cat = guest.begin(['sh', '-c', 'cat; echo first; cat; echo second'], { tty });
    cat.writeStdin('one\n');
    cat.endStdin();
    await cat.says('first');
    cat.writeStdin('two\n');
    cat.endStdin();
    assert.equal((await cat.exited()).exitCode, 0);
    assert.match(cat.stdout.toString(), /second\r\n$/);
  });

  test('takes a large paste as fast as the process reads it, and loses nothing', async () => {
    const script = 'stty raw -echo; echo ready; sleep 0.3; head -c 300000 | sha256sum';
    const reader = guest.begin(['sh', '-c', script], { tty });
    await reader.says('ready');
    const bytes = Buffer.alloc(300_000, 'some pasted text\n');
    let sent = 0;
    while (sent < bytes.length) {
      await guest.until(() => inputWindowBytes + reader.stdinGranted > sent, 'input credit');
      const piece = bytes.subarray(sent, inputWindowBytes + reader.stdinGranted);
      reader.writeStdin(piece);
      sent += piece.length;
    }
    await reader.exited();
    const expected = spawnSync('sha256sum', { input: bytes }).stdout.toString();
    assert.ok(reader.stdout.includes(expected.slice(0, 64)));
  });

  test('carries a lot of output without a wrong byte, under credit', async () => {
    const script = 'stty -opost; head -c 3000000 /dev/zero | tr "\\0" x';
    const { stdout, frameBytesMax } = await guest.run(['sh', '-c', script], { tty, window: 20_000 });
    assert.equal(stdout.toString(), 'x'.repeat(3_000_000));
    assert.ok(frameBytesMax <= 20_000);
  });

  test('a background job does not delay the exit', async () => {
    const { stdout, exit } = await guest.run(['bash', '-c', 'trap "" HUP; sleep 1000 & echo $!'], { tty });
    assert.equal(exit?.exitCode, 0);
    killProcess(Number(stdout.toString()));
  });

  test('closing its channel hangs up the shell and its foreground job', async () => {
    const shell = await bash();
    const pid = await shell.started();
    shell.writeStdin('sleep 1000\n');
    await until(() => sleeping(shell).length === 1, 'the job');
    const [job] = sleeping(shell);
    await shell.close();
    await until(() => !isAlive(pid) && !isAlive(job?.pid ?? 0), 'both');
  });

  test('closing its channel kills after 5 s what ignores that', async () => {
    const stubborn = guest.begin(['bash', '-c', 'trap "" HUP; echo on; while :; do sleep 1; done'], { tty });
    const pid = await stubborn.started();
    await stubborn.says('on');
    const closedAt = Date.now();
    await stubborn.close();
    const again = guest.begin(['echo', 'the channel is free'], {}, stubborn.channel);
    await again.exited();
    await until(() => !isAlive(pid), 'the process');
    assert.ok(Date.now() - closedAt >= 4_900);
  });

  test('the terminal belongs to the user it was made for', rootOnly, async () => {
    const { stdout } = await guest.run(['sh', '-c', 'stat -c %U $(tty); echo fine > $(tty)'], {
      tty,
      user: 'nobody',
    });
    assert.equal(stdout.toString(), 'nobody\r\nfine\r\n');
  });

  test('programs that draw the whole screen work', async (context) => {
    if (spawnSync('sh', ['-c', 'command -v top']).status !== 0) {
      context.skip('no top here');
      return;
    }
    const top = guest.begin(['top', '-d', '0.2'], { tty });
    await top.says('PID');
    top.writeStdin('q');
    assert.equal((await top.exited()).exitCode, 0);
  });

  /** The `sleep` processes in the session of a shell. */
  function sleeping(shell: Execution): { pid: number; state: string }[] {
    const { stdout } = spawnSync('ps', ['-o', 'pid=,state=,comm=', '--ppid', String(shell.pid)]);
    return stdout
      .toString()
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .filter(([, , name]) => name === 'sleep')
      .map(([pid, state]) => ({ pid: Number(pid), state: state ?? '' }));
  }
});

test('without /dev/ptmx a terminal is refused with words, and all else works', rootOnly, async () => {
  await using guest = await GuestDriver.start({
    binary: 'unshare',
    args: ['--mount', 'sh', '-c', 'mount -t tmpfs none /dev && exec "$0"', buildGuest().path],
  });
  const { code, message } = await guest.begin(['true'], { tty }).refused();
  assert.ok(code === 'spawn_failed' || code === 'limit_exceeded', message);
  assert.match(message, /no terminal/);
  assert.equal((await guest.run(['echo', 'fine'])).stdout.toString(), 'fine\n');
});
