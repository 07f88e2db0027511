import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { payloadBytesMax } from '../../protocol/limits.ts';
import { until } from '../support/until.ts';
import { GuestDriver } from './guest-driver.ts';
import { isAlive, killProcess } from './host-processes.ts';

describe('streams and credit', () => {
  let guest: GuestDriver;
  let folder: string;
  /** What Welcome grants for stdin. */
  let stdinWindow: number;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'warmpool-guest-streams-'));
    guest = new GuestDriver({ window: 10_000 });
    stdinWindow = (await guest.hello()).window;
  });
  after(async () => {
    await guest[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Sends all of it as credit allows. */
  async function feed(execution: ReturnType<GuestDriver['begin']>, bytes: Buffer): Promise<void> {
    let sent = 0;
    while (sent < bytes.length) {
      await guest.until(() => stdinWindow + execution.stdinGranted > sent, 'stdin credit');
      const piece = bytes.subarray(sent, stdinWindow + execution.stdinGranted);
      execution.writeStdin(piece);
      sent += piece.length;
    }
    execution.endStdin();
  }

  test('streams every byte value through stdin and stdout unchanged', async () => {
    const bytes = Buffer.concat([
      Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)),
      randomBytes(3_000_000),
    ]);
    const cat = guest.begin(['cat'], { stdin: true });
    await feed(cat, bytes);
    assert.equal((await cat.exited()).exitCode, 0);
    assert.ok(cat.stdout.equals(bytes));
    assert.ok(cat.frameBytesMax <= payloadBytesMax);
  });

  test('carries stdout and stderr of many processes at once without mixing them', async () => {
    const script = 'head -c 200000 /dev/zero | tr "\\0" "$1"; head -c 100000 /dev/zero | tr "\\0" "$2" >&2';
    const processes = Array.from({ length: 12 }, (_, index) => {
      const [out, err] = [String.fromCharCode(65 + index), String.fromCharCode(97 + index)];
      return { out, err, execution: guest.begin(['sh', '-c', script, 'sh', out, err]) };
    });
    for (const { out, err, execution } of processes) {
      await execution.exited();
      assert.equal(execution.stdout.toString(), out.repeat(200_000));
      assert.equal(execution.stderr.toString(), err.repeat(100_000));
    }
  });

  test('has no stdin unless asked: a reader sees its end at once', async () => {
    assert.equal((await guest.run(['wc', '-c'])).stdout.toString().trim(), '0');
    const { stdout } = await guest.run(['readlink', '/proc/self/fd/0']);
    assert.equal(stdout.toString(), '/dev/null\n');
  });

  test('ends stdin after what was sent before', async () => {
    const count = guest.begin(['sh', '-c', 'sleep 0.2; wc -c'], { stdin: true });
    count.writeStdin(Buffer.alloc(stdinWindow));
    count.endStdin();
    await count.exited();
    assert.equal(count.stdout.toString().trim(), String(stdinWindow));
  });

  test('never sends more output than its credit, and exactly that much when there is more', async () => {
    const flood = guest.begin(['sh', '-c', 'head -c 50000 /dev/zero; head -c 50000 /dev/zero >&2'], {
      givesCredit: false,
    });
    let granted = 10_000;
    for (const step of [1, 2, 3000, 10_000, 20_000]) {
      await guest.until(() => flood.outputBytes === granted, `${granted} bytes`);
      await guest.roundTrip();
      assert.equal(flood.outputBytes, granted);
      flood.grant(step);
      // What a credit gives beyond the window is void.
      granted += Math.min(step, 10_000);
    }
    flood.takeAll();
    await flood.exited();
    assert.equal(flood.stdout.length + flood.stderr.length, 100_000);
  });

  test('lets a process wait whose output nobody takes, and the others run', async () => {
    const stuck = guest.begin(['cat', '/dev/zero'], { givesCredit: false });
    await guest.until(() => stuck.outputBytes === 10_000, 'the window');
    for (let i = 0; i < 5; i += 1) assert.equal((await guest.run(['echo', 'x'])).stdout.toString(), 'x\n');
    assert.equal(stuck.outputBytes, 10_000);
    stuck.signal(9);
    // What is in its pipe still belongs to it, and comes with the credit.
    await guest.roundTrip();
    assert.equal(stuck.exit, undefined);
    stuck.takeAll();
    assert.equal((await stuck.exited()).signal, 9);
  });

  test('reports the exit of a process whose output was exactly its credit', async () => {
    const exact = guest.begin(['head', '-c', '10000', '/dev/zero'], { givesCredit: false });
    assert.equal((await exact.exited()).exitCode, 0);
    assert.equal(exact.outputBytes, 10_000);
  });

  test('grants stdin credit only as the process takes the bytes', async () => {
    const lazy = guest.begin(['sleep', '100'], { stdin: true });
    // The kernel's pipe takes the first of it; what it cannot hold stays ungranted.
    for (let sent = 0; sent < 5; sent += 1) {
      const credit = stdinWindow + lazy.stdinGranted;
      lazy.writeStdin(Buffer.alloc(Math.max(0, credit - sent * stdinWindow)));
      await guest.roundTrip();
    }
    assert.ok(lazy.stdinGranted <= 65_536 + stdinWindow);
    lazy.signal(9);
    await lazy.exited();
  });

  test('kills a process whose node sends more stdin than its credit', async () => {
    const lazy = guest.begin(['sleep', '100'], { stdin: true });
    const pid = await lazy.started();
    lazy.writeStdin(Buffer.alloc(stdinWindow));
    lazy.writeStdin(Buffer.alloc(stdinWindow));
    lazy.writeStdin(Buffer.alloc(stdinWindow));
    await guest.until(() => lazy.errors.length > 0, 'the refusal');
    await until(() => !isAlive(pid), 'the process');
    // The Error is the channel's last frame, and what crossed it is dropped.
    assert.deepEqual(
      lazy.errors.map(({ code }) => code),
      ['credit_exceeded'],
    );
    await guest.roundTrip();
    assert.equal(lazy.exit, undefined);
  });

  test('discards stdin that a process no longer reads, and gives its credit back', async () => {
    const deaf = guest.begin(['sh', '-c', 'exec <&-; echo closed; sleep 100'], { stdin: true });
    await deaf.says('closed');
    for (let sent = 0; sent < 10; sent += 1) {
      const before = deaf.stdinGranted;
      deaf.writeStdin(Buffer.alloc(stdinWindow));
      await guest.until(() => deaf.stdinGranted === before + stdinWindow, 'credit given back');
    }
    deaf.signal(9);
    assert.equal((await deaf.exited()).signal, 9);
  });

  test('discards stdin sent to a process started without one', async () => {
    const deaf = guest.begin(['sleep', '100']);
    deaf.writeStdin(Buffer.alloc(stdinWindow));
    await guest.until(() => deaf.stdinGranted === stdinWindow, 'credit given back');
    deaf.signal(9);
    await deaf.exited();
  });

  test('drops data, signals and credit for a channel without a process in silence', async () => {
    const gone = await guest.run(['true']);
    gone.writeStdin('late');
    gone.endStdin();
    gone.signal(9);
    gone.grant(10);
    await guest.roundTrip();
  });

  test('does not let a background child that holds the pipe delay the exit', async () => {
    const { stdout, exit } = await guest.run(['sh', '-c', 'sleep 1000 & echo $!']);
    const child = Number(stdout.toString());
    assert.equal(exit?.exitCode, 0);
    assert.ok(isAlive(child), 'the background child is neither waited for nor killed');
    killProcess(child);
    await until(() => !isAlive(child), 'the orphan being reaped');
  });

  test('a background child may go on writing after the exit: discarded, without a signal', async () => {
    const log = join(folder, 'background');
    const go = join(folder, 'go');
    const waits = `while [ ! -e ${go} ]; do sleep 0.02; done`;
    const script = `(trap "echo pipe > ${log}" PIPE; ${waits}; head -c 300000 /dev/zero; echo wrote > ${log}) & echo $!`;
    const { stdout } = await guest.run(['sh', '-c', script]);
    const child = Number(stdout.toString());
    writeFileSync(go, '');
    await until(() => !isAlive(child), 'the background child');
    assert.equal(readFileSync(log, 'utf8'), 'wrote\n');
  });

  test('output that comes within 100 ms of the exit is still delivered', async () => {
    // The child spins until its parent has been reaped, so that its word comes right behind the exit. It notes the last
    // moment before that and the first one after its word: where the machine let more than the 100 ms pass between the
    // two, nothing was promised, and nothing is learned.
    const log = join(folder, 'late');
    const script =
      '(while now=$EPOCHREALTIME; kill -0 $$ 2>/dev/null; do last=$now; done; echo late; ' +
      `echo $last $EPOCHREALTIME > ${log}; exec sleep 1000) & echo $!`;
    for (let promised = false; !promised; ) {
      rmSync(log, { force: true });
      const { stdout } = await guest.run(['bash', '-c', script]);
      const [child, late] = stdout.toString().split('\n');
      await until(() => readFileOr(log, '').endsWith('\n'), 'the times');
      killProcess(Number(child));
      const [last = 0, after = 0] = readFileOr(log, '').split(' ').map(Number);
      promised = last > 0 && after - last < 0.09;
      if (promised) assert.equal(late, 'late');
    }
  });

  test('moves a hundred megabytes without a wrong byte', async () => {
    const { stdout, exit } = await guest.run(['sh', '-c', 'yes warmpool | head -c 100000000']);
    assert.equal(exit?.exitCode, 0);
    const expected = createHash('sha256').update(Buffer.alloc(100_000_000, 'warmpool\n')).digest('hex');
    assert.equal(createHash('sha256').update(stdout).digest('hex'), expected);
  });
});

function readFileOr(path: string, otherwise: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return otherwise;
  }
}

describe('output of a busy pipe, which goes to the link page by page', () => {
  let guest: GuestDriver;
  before(async () => {
    guest = new GuestDriver({ window: 262_144 });
    await guest.hello();
  });
  after(() => guest[Symbol.asyncDispose]());

  test('arrives whole, from a writer of large pieces and from one of small ones', async () => {
    const numbers = guest.begin(['seq', '1', '700000']);
    const zeros = guest.begin(['sh', '-c', 'head -c 8000000 /dev/zero; echo the end']);
    assert.equal((await numbers.exited()).exitCode, 0);
    assert.equal((await zeros.exited()).exitCode, 0);
    assert.equal(numbers.stdout.length, 4_788_895);
    assert.ok(numbers.stdout.subarray(4_000_000).includes('\n650000\n650001\n'));
    assert.equal(zeros.stdout.length, 8_000_008);
    assert.equal(zeros.stdout.subarray(8_000_000).toString(), 'the end\n');
    assert.ok(numbers.frameBytesMax <= payloadBytesMax && zeros.frameBytesMax <= payloadBytesMax);
  });

  test('stays a stream of frames when the command takes bytes back out of its pipe', async () => {
    const thief = 'exec 3</proc/self/fd/1; cat <&3 >/dev/null & exec 3<&-; head -c 30000000 /dev/zero';
    const robbed = guest.begin(['sh', '-c', thief]);
    assert.equal((await robbed.exited()).exitCode, 0);
    assert.ok(robbed.stdout.every((byte) => byte === 0));
    const next = guest.begin(['echo', 'still here']);
    await next.exited();
    assert.equal(next.stdout.toString(), 'still here\n');
  });
});
