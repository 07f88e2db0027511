import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { type ListedProcess, parseExecAttached, parseProcessList } from '../../protocol/exec-messages.ts';
import { inputWindowBytes } from '../../protocol/limits.ts';
import { parsed } from '../support/parsed.ts';
import { until } from '../support/until.ts';
import { type Execution, GuestDriver } from './guest-driver.ts';
import { commandOf, isAlive } from './host-processes.ts';

describe('processes that outlive their channel', () => {
  let guest: GuestDriver;
  before(async () => {
    guest = await GuestDriver.start();
  });
  after(() => guest[Symbol.asyncDispose]());

  const list = async () => parsed(parseProcessList(await guest.ask('ExecList')));

  async function listed(process: number): Promise<ListedProcess> {
    const found = (await list()).find((entry) => entry.process === process);
    assert.ok(found !== undefined, `process ${process} is listed`);
    return found;
  }

  /** Waits until this holds of a process; asking again is the only way to learn it. */
  async function listedWhen(
    process: number,
    holds: (entry: ListedProcess) => boolean,
  ): Promise<ListedProcess> {
    const deadlineMs = performance.now() + 60_000;
    for (;;) {
      const entry = await listed(process);
      if (holds(entry)) return entry;
      assert.ok(performance.now() < deadlineMs, `waited too long; the process is ${JSON.stringify(entry)}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  const attached = (execution: Execution) => {
    assert.ok(execution.acknowledgement !== undefined);
    return parsed(parseExecAttached(execution.acknowledgement));
  };

  test('numbers the processes one after the other', async () => {
    const first = await guest.run(['true']);
    await guest.refusal(['no-such-command-here']);
    const second = await guest.run(['true']);
    assert.equal(second.process, first.process + 1);
  });

  test('a detached process goes on without its channel, and its output is replayed', async () => {
    const script = 'echo one; echo two >&2; read line; echo "three $line"; exit 3';
    const first = guest.begin(['sh', '-c', script], { detach: true, stdin: true });
    await first.says('one');
    await guest.until(() => first.stderr.length > 0, 'stderr');
    await first.close();
    const second = guest.attach({ process: first.process });
    await second.opened();
    assert.deepEqual(
      [attached(second).pid, attached(second).process, attached(second).offset, attached(second).input],
      [first.pid, first.process, 0, 0],
    );
    second.writeStdin('line\n');
    assert.equal((await second.exited()).exitCode, 3);
    assert.deepEqual([second.stdout.toString(), second.stderr.toString()], ['one\nthree line\n', 'two\n']);
  });

  test('a process that ended keeps its output and its exit for whoever attaches, as often as they do', async () => {
    const process = guest.begin(['sh', '-c', 'sleep 0.2; echo last words; exit 4'], {
      detach: true,
      givesCredit: false,
    });
    await process.started();
    await process.close();
    // Its exit may be listed a moment before its last output has been read.
    const entry = await listedWhen(process.process, ({ running, end }) => !running && end === 11);
    assert.deepEqual(
      [entry.exitCode, entry.attached, entry.detach, entry.start, entry.end],
      [4, false, true, 0, 11],
    );
    for (const offset of [0, 0, 5]) {
      const reader = guest.attach({ process: process.process, offset });
      assert.equal((await reader.exited()).exitCode, 4);
      assert.equal(reader.stdout.toString(), 'last words\n'.slice(offset));
    }
  });

  test('a detached process whose exit was sent can still be asked for it: the answer may have been lost', async () => {
    const process = guest.begin(['sh', '-c', 'echo seen; exit 5'], { detach: true });
    assert.equal((await process.exited()).exitCode, 5);
    const reader = guest.attach({ process: process.process });
    assert.equal((await reader.exited()).exitCode, 5);
    assert.equal(reader.stdout.toString(), 'seen\n');
  });

  test('keeps exactly the last bytes asked for, each with its stream, and starts at any of them', async () => {
    const script = 'i=0; while [ $i -lt 300 ]; do printf out$i; printf err$i >&2; i=$((i+1)); done; read x';
    const process = guest.begin(['sh', '-c', script], { detach: true, replay: 1000, stdin: true });
    const whole = () => process.stdout.length + process.stderr.length;
    // Two pipes: the last of one may be read before the last of the other.
    const ended = () =>
      process.stdout.toString().endsWith('out299') && process.stderr.toString().endsWith('err299');
    await guest.until(ended, 'all of it');
    const end = whole();
    const pieces = process.pieces.map(({ isError, bytes }) => ({ isError, bytes }));
    await process.close();
    for (const offset of [undefined, 0, end - 1000, end - 999, end - 17, end]) {
      const reader = guest.attach(
        offset === undefined ? { process: process.process } : { process: process.process, offset },
      );
      await reader.opened();
      const from = Math.max(offset ?? 0, end - 1000);
      assert.equal(attached(reader).offset, from);
      await guest.until(() => reader.outputBytes === end - from, 'the replay');
      assert.deepEqual(byByte(reader.pieces), byByte(pieces).slice(from));
      await reader.close();
    }
    const beyond = guest.attach({ process: process.process, offset: end + 1 });
    assert.equal((await beyond.refused()).code, 'invalid_payload');
    const last = guest.attach({ process: process.process });
    last.writeStdin('x\n');
    await last.exited();
  });

  test('an unattended process never waits for a reader', async () => {
    const flood = guest.begin(['sh', '-c', 'head -c 20000000 /dev/zero; echo end'], {
      detach: true,
      replay: 100,
    });
    await flood.started();
    await flood.close();
    const entry = await listedWhen(flood.process, ({ running, end }) => !running && end === 20_000_004);
    assert.equal(entry.start, 20_000_004 - 100);
    const reader = guest.attach({ process: flood.process });
    await reader.exited();
    assert.ok(reader.stdout.toString().endsWith('\0end\n'));
    assert.equal(reader.stdout.length, 100);
  });

  test('what was replayed and what comes afterwards join without a gap, under credit', async () => {
    const script = 'head -c 50000 /dev/zero | tr "\\0" a; read x; head -c 50000 /dev/zero | tr "\\0" b';
    const process = guest.begin(['sh', '-c', script], { detach: true, stdin: true });
    await guest.until(() => process.outputBytes === 50_000, 'the first part');
    await process.close();
    const reader = guest.attach({ process: process.process, window: 1000 }, { givesCredit: false });
    await guest.until(() => reader.outputBytes === 1000, 'the window');
    reader.writeStdin('x\n');
    await guest.roundTrip();
    assert.equal(reader.outputBytes, 1000);
    reader.takeAll();
    await reader.exited();
    assert.equal(reader.stdout.toString(), 'a'.repeat(50_000) + 'b'.repeat(50_000));
  });

  test('an attach takes the process from the channel that has it', async () => {
    const first = guest.begin(['sh', '-c', 'echo hello; cat'], {
      detach: true,
      stdin: true,
      tty: { cols: 80, rows: 24 },
    });
    await first.says('hello\r\n');
    const second = guest.attach({ process: first.process, offset: 7 });
    await second.opened();
    assert.equal(attached(second).tty, true);
    await guest.until(() => first.errors.length === 1, 'taken_over');
    assert.equal(first.errors[0]?.code, 'taken_over');
    first.writeStdin('dropped');
    second.writeStdin('mine\n');
    await second.says('mine\r\nmine\r\n');
    assert.equal(second.stdout.toString(), 'mine\r\nmine\r\n');
    second.endStdin();
    assert.equal((await second.exited()).exitCode, 0);
  });

  test('says how much input the process has, also what it has not read', async () => {
    const lazy = guest.begin(['sh', '-c', 'echo on; sleep 1000'], { detach: true, stdin: true });
    await lazy.says('on');
    lazy.writeStdin(Buffer.alloc(65_536));
    await guest.until(() => lazy.stdinGranted >= 65_536, 'credit for what the pipe took');
    lazy.writeStdin(Buffer.alloc(40_000));
    await lazy.close();
    const second = guest.attach({ process: lazy.process });
    await second.opened();
    assert.equal(attached(second).input, 105_536);
    // A whole window more, although the one before was not read.
    second.writeStdin(Buffer.alloc(inputWindowBytes));
    await guest.roundTrip();
    assert.deepEqual(second.errors, []);
    const third = guest.attach({ process: lazy.process });
    assert.equal((await third.refused()).code, 'limit_exceeded');
    second.signal(9);
    await second.exited();
  });

  test('closing the channel of a process that was not detached ends it', async () => {
    const sleeper = guest.begin(['sh', '-c', 'trap "echo bye" EXIT; sleep 1000 & wait']);
    const pid = await sleeper.started();
    await sleeper.close();
    await until(() => !isAlive(pid), 'the process');
    assert.equal((await guest.attach({ process: sleeper.process }).refused()).code, 'process_unknown');
  });

  test('a new epoch leaves detached processes running, without a channel', async () => {
    const plain = guest.begin(['sleep', '1000']);
    const detached = guest.begin(['sh', '-c', 'echo on; sleep 1000'], { detach: true });
    const pid = await plain.started();
    await detached.says('on');
    const { process } = detached;
    await guest.hello(new Uint8Array(16).fill(2));
    await until(() => !isAlive(pid), 'the plain one');
    const entry = await listed(process);
    assert.deepEqual(
      [entry.running, entry.attached, entry.argv0, entry.pid],
      [true, false, 'sh', detached.pid],
    );
    const again = guest.attach({ process });
    await again.says('on');
    again.signal(9);
    assert.equal((await again.exited()).signal, 9);
  });

  test('a lost link leaves it unattended, so that it does not wait for a reader that is gone', async () => {
    await using other = await GuestDriver.start({ args: ['--link=reattach'], window: 1000 });
    // Behind the sleep there is one more command, so that no shell becomes the sleep itself.
    const writer = other.begin(['sh', '-c', 'head -c 1000000 /dev/zero; sleep 1000; true'], {
      detach: true,
      givesCredit: false,
    });
    await other.until(() => writer.outputBytes === 1000, 'the window');
    const running = () =>
      commandOf(Number(readFileSync(`/proc/${writer.pid}/task/${writer.pid}/children`, 'utf8')));
    assert.equal(running(), 'head');
    other.input.end();
    await until(() => running() === 'sleep', 'the rest of its output');
  });

  test('keeps the newest 64 of those that ended', async () => {
    const started: Execution[] = [];
    for (let index = 0; index < 70; index += 1) {
      const process = guest.begin(['sh', '-c', `exit ${index}`], { detach: true, window: 1 });
      await process.started();
      await process.close();
      started.push(process);
      if (process.exit === undefined) await listedWhen(process.process, ({ running }) => !running);
    }
    const kept = (await list()).filter(({ detach, running }) => detach && !running);
    assert.ok(kept.length <= 64);
    for (const { process } of kept) {
      const reader = guest.attach({ process });
      const exit = await reader.exited();
      assert.equal(
        exit.exitCode,
        started.findIndex((execution) => execution.process === process),
      );
    }
  });

  test('bounds what is kept: 8 MiB and 192 processes in all', async () => {
    const large = { detach: true, replay: 1_048_576 } as const;
    const eight = Array.from({ length: 8 }, () => guest.begin(['sleep', '1000'], large));
    for (const process of eight) await process.started();
    assert.equal(await guest.refusal(['true'], { detach: true, replay: 1 }), 'limit_exceeded');
    assert.equal(await guest.refusal(['true'], { detach: true, replay: 1_048_577 }), 'invalid_payload');
    for (const process of eight) process.signal(9);
    for (const process of eight) await process.exited();
    const many = Array.from({ length: 192 }, () =>
      guest.begin(['sleep', '1000'], { detach: true, replay: 0 }),
    );
    for (const process of many) await process.started();
    assert.equal(await guest.refusal(['true'], { detach: true, replay: 0 }), 'limit_exceeded');
    const plain = Array.from({ length: 100 }, () => guest.begin(['cat'], { stdin: true }));
    for (const process of plain) await process.started();
    const entries = await list();
    assert.equal(entries.length, 256);
    assert.equal(entries.filter(({ detach, running }) => detach && running).length, 192);
    assert.deepEqual(
      entries.map(({ process }) => process),
      entries.map(({ process }) => process).sort((a, b) => a - b),
    );
    for (const process of [...many, ...plain]) process.signal(9);
    for (const process of [...many, ...plain]) await process.exited();
  });

  test('a wrong ExecAttach or ExecList is refused and changes nothing', async () => {
    for (const payload of [
      '',
      '\x80',
      '\x81\xa7process\x00',
      '\x81\xa7process\xa1X',
      '\x82\xa7process\x01\xa6window\x00',
    ]) {
      const { code } = await guest.open('ExecAttach', Buffer.from(payload, 'latin1')).refused();
      assert.equal(code, 'invalid_payload');
    }
    for (const [channel, id, payload] of [
      [0, 0, '\x80'],
      [0, 5, ''],
      [0, 5, '\x90'],
      [7777, 5, '\x80'],
    ] as const) {
      guest.send('ExecList', channel, Buffer.from(payload, 'latin1'), id);
      assert.equal((await guest.nextError()).code, 'invalid_payload');
    }
  });
});

function byByte(pieces: readonly { isError: boolean; bytes: Uint8Array }[]): string[] {
  return pieces.flatMap(({ isError, bytes }) => [...bytes].map((byte) => `${isError ? 'e' : 'o'}${byte}`));
}
