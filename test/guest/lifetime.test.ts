import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { channelsMax } from '../../protocol/limits.ts';
import { until } from '../support/until.ts';
import { GuestDriver } from './guest-driver.ts';
import { isAlive, killProcess, runs } from './host-processes.ts';

describe('the life of a process', () => {
  let guest: GuestDriver;
  before(async () => {
    guest = await GuestDriver.start();
  });
  after(() => guest[Symbol.asyncDispose]());

  test('sends a signal to the whole process group', async () => {
    const group = guest.begin(['sh', '-c', 'sleep 100 & echo $!; wait']);
    await group.says('\n');
    const child = Number(group.stdout.toString());
    await runs(child, 'sleep');
    group.signal(15);
    assert.equal((await group.exited()).signal, 15);
    await until(() => !isAlive(child), 'the other member of the group');
  });

  test('delivers a signal that the process handles', async () => {
    const trapper = guest.begin([
      'sh',
      '-c',
      'trap "echo caught; exit 7" USR1; echo ready; while :; do sleep 0.05; done',
    ]);
    await trapper.says('ready');
    trapper.signal(10);
    assert.equal((await trapper.exited()).exitCode, 7);
    assert.ok(trapper.stdout.includes('caught'));
  });

  test('refuses a signal number that is not one', async () => {
    const sleeper = guest.begin(['sleep', '100']);
    await sleeper.started();
    for (const bytes of ['\x81\xa6signal\x00', '\x81\xa6signal\x41', '\x80', 'x']) {
      guest.send('ExecSignal', sleeper.channel, Buffer.from(bytes, 'latin1'), 3);
    }
    await guest.until(() => sleeper.errors.length === 4, 'four errors');
    assert.ok(sleeper.errors.every(({ code }) => code === 'invalid_payload'));
    sleeper.signal(9);
    assert.equal((await sleeper.exited()).signal, 9);
  });

  test('ends a process at its timeout with SIGTERM', async () => {
    const { exit } = await guest.run(['sleep', '100'], { timeoutMs: 100 });
    assert.deepEqual([exit?.signal, exit?.timedOut], [15, true]);
    assert.ok(exit !== undefined && exit.durationUs >= 100_000);
  });

  /**
   * Scripts that have to be ready before their timeout, which runs from their start: so much time that they are on any
   * machine, spent by all of them at once.
   */
  describe('at a timeout', { concurrency: true }, () => {
    const timeoutMs = 3_000;
    const run = async (script: string) => {
      const execution = await guest.run(['sh', '-c', script], { timeoutMs });
      assert.match(execution.stdout.toString(), /ready\n/, 'the script was ready before its timeout');
      return execution;
    };

    test('a process that ignores SIGTERM is killed two seconds after it', async () => {
      const { exit } = await run('trap "" TERM; echo ready; while :; do sleep 0.05; done');
      assert.deepEqual([exit?.signal, exit?.timedOut], [9, true]);
      assert.ok(exit !== undefined && exit.durationUs >= (timeoutMs + 2_000) * 1_000);
    });

    test('a process that ends by itself after SIGTERM has its own exit code', async () => {
      const { exit } = await run('trap "exit 5" TERM; echo ready; while :; do sleep 0.05; done');
      assert.deepEqual([exit?.exitCode, exit?.timedOut], [5, true]);
    });

    test('nothing of the group is left behind', async () => {
      const { stdout, exit } = await run(
        '(trap "" TERM; echo $(exec sh -c \'echo $PPID\'); echo ready; while :; do sleep 0.05; done) & sleep 100',
      );
      assert.equal(exit?.timedOut, true);
      const member = Number(stdout.toString().split('\n')[0]);
      assert.ok(member > 1);
      await until(() => !isAlive(member), 'the member that ignores SIGTERM');
    });

    test('a flood from outside of the group is ended', async () => {
      // setsid takes the writer out of the group, so neither signal reaches it.
      const script = 'setsid sh -c "echo \\$\\$; echo ready; exec cat /dev/zero" & sleep 100';
      const flood = guest.begin(['sh', '-c', script], { timeoutMs, window: 1_000, givesCredit: false });
      const pid = await flood.started();
      await flood.says('ready\n');
      await until(() => !isAlive(pid), 'the end of the group');
      assert.equal(flood.exit, undefined);
      flood.takeAll();
      assert.equal((await flood.exited()).timedOut, true);
      killProcess(Number(flood.stdout.toString().split('\n')[0]));
    });
  });

  test('does not call a process timed out that was in time', async () => {
    const { exit } = await guest.run(['true'], { timeoutMs: 10_000 });
    assert.equal(exit?.timedOut, false);
  });

  test('waits for a process that closed both of its pipes', async () => {
    const { exit } = await guest.run(['sh', '-c', 'exec >&- 2>&-; sleep 0.3; exit 9']);
    assert.equal(exit?.exitCode, 9);
  });

  test('reaps orphans, so that none stays a zombie', async () => {
    const { stdout } = await guest.run(['sh', '-c', 'for i in 1 2 3; do (setsid sleep 0.2 & echo $!); done']);
    await until(() => {
      const children = readFileSync(`/proc/${guest.pid}/task/${guest.pid}/children`, 'utf8');
      return children.trim() === '';
    }, `the orphans ${stdout.toString()}`);
  });

  test('refuses a second process on a channel, and the first goes on', async () => {
    const first = guest.begin(['cat'], { stdin: true });
    await first.started();
    guest.send('ExecStart', first.channel, Buffer.from('\x81\xa4argv\x91\xa4true', 'latin1'), 4);
    await guest.until(() => first.errors.length === 1, 'the refusal');
    assert.equal(first.errors[0]?.code, 'channel_in_use');
    first.writeStdin('still here');
    first.endStdin();
    assert.equal((await first.exited()).exitCode, 0);
    assert.equal(first.stdout.toString(), 'still here');
    const again = guest.begin(['echo', 'again'], {}, first.channel);
    await again.exited();
    assert.equal(again.stdout.toString(), 'again\n');
  });

  test('G6 runs 1,024 processes at once, refuses one more, and has room again when one ends', async () => {
    const readers = Array.from({ length: channelsMax }, () => guest.begin(['cat'], { stdin: true }));
    for (const reader of readers) await reader.started();
    assert.equal(await guest.refusal(['true']), 'limit_exceeded');
    for (const [index, reader] of readers.entries()) reader.writeStdin(`reader ${index}`);
    readers[0]?.endStdin();
    await readers[0]?.exited();
    assert.equal((await guest.run(['true'])).exit?.exitCode, 0);
    for (const reader of readers.slice(1)) reader.endStdin();
    for (const [index, reader] of readers.entries()) {
      assert.equal((await reader.exited()).exitCode, 0);
      assert.equal(reader.stdout.toString(), `reader ${index}`);
    }
    const descriptors = (await guest.run(['ls', '/proc/self/fd'])).stdout.toString();
    assert.equal(descriptors, '0\n1\n2\n3\n');
  });
});
