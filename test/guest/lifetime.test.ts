import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { channelsMax } from '../../protocol/limits.ts';
import { eventually, GuestDriver, isAlive } from './guest-driver.ts';

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
    group.signal(15);
    assert.equal((await group.exited()).signal, 15);
    await eventually(() => !isAlive(child), 'the other member of the group');
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
    assert.ok(exit !== undefined && exit.durationUs >= 100_000 && exit.durationUs < 2_000_000);
  });

  test('kills a process that ignores SIGTERM two seconds after its timeout', async () => {
    const script = 'trap "" TERM; echo ready; while :; do sleep 0.05; done';
    const { exit } = await guest.run(['sh', '-c', script], { timeoutMs: 100 });
    assert.deepEqual([exit?.signal, exit?.timedOut], [9, true]);
    assert.ok(exit !== undefined && exit.durationUs >= 2_100_000 && exit.durationUs < 8_000_000);
  });

  test('gives a process that ends by itself after SIGTERM its own exit code', async () => {
    const script = 'trap "exit 5" TERM; echo ready; while :; do sleep 0.05; done';
    const { exit } = await guest.run(['sh', '-c', script], { timeoutMs: 200 });
    assert.deepEqual([exit?.exitCode, exit?.timedOut], [5, true]);
  });

  test('leaves nothing of the group behind after a timeout', async () => {
    const script =
      '(trap "" TERM; echo $(exec sh -c \'echo $PPID\'); while :; do sleep 0.05; done) & sleep 100';
    const { stdout, exit } = await guest.run(['sh', '-c', script], { timeoutMs: 300 });
    assert.equal(exit?.timedOut, true);
    await eventually(() => !isAlive(Number(stdout.toString())), 'the member that ignores SIGTERM');
  });

  test('ends a flood from outside of the group after a timeout', async () => {
    // setsid takes the writer out of the group, so neither signal reaches it.
    const script = 'setsid sh -c "echo \\$\\$ >&2; exec cat /dev/zero" & sleep 100';
    const { stderr, exit } = await guest.run(['sh', '-c', script], { timeoutMs: 200 });
    assert.equal(exit?.timedOut, true);
    process.kill(Number(stderr.toString()), 'SIGKILL');
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
    await eventually(() => {
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
