import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { until } from '../support/until.ts';
import { GuestDriver } from './guest-driver.ts';
import { isAlive, runs, stateOf } from './host-processes.ts';

describe('channels', () => {
  let guest: GuestDriver;
  before(async () => {
    guest = await GuestDriver.start();
  });
  after(() => guest[Symbol.asyncDispose]());

  test('a request may begin with a smaller window than Hello gave', async () => {
    const zeros = guest.begin(['head', '-c', '100000', '/dev/zero'], { window: 500, givesCredit: false });
    await guest.until(() => zeros.outputBytes === 500, 'the window');
    await guest.roundTrip();
    assert.equal(zeros.outputBytes, 500);
    zeros.takeAll();
    await zeros.exited();
    assert.ok(zeros.frameBytesMax <= 500);
  });

  test('a window that is none, or larger than that of Hello, is refused', async () => {
    await using small = await GuestDriver.start({ window: 1000 });
    assert.equal(await small.refusal(['true'], { window: 1001 }), 'invalid_payload');
    assert.equal((await small.run(['true'], { window: 1000 })).exit?.exitCode, 0);
    assert.equal(await small.refusal(['true'], { window: 0 }), 'invalid_payload');
  });

  test('closing a channel tells the process to hang up, and frees the number at once', async () => {
    const polite = guest.begin(['sh', '-c', 'trap "exit 0" HUP; sleep 1000 & echo $!; wait']);
    const pid = await polite.started();
    await polite.says('\n');
    const child = Number(polite.stdout.toString());
    await runs(child, 'sleep');
    await polite.close();
    const next = guest.begin(['echo', 'next'], {}, polite.channel);
    await next.exited();
    assert.equal(next.stdout.toString(), 'next\n');
    await until(() => !isAlive(pid) && !isAlive(child), 'the group');
  });

  test('a stopped process is woken to hear of it', async () => {
    const stopped = guest.begin(['sh', '-c', 'kill -STOP $$']);
    const pid = await stopped.started();
    await stopped.close();
    await until(() => !isAlive(pid), 'the process');
  });

  test('what ignores the hang-up has 5 s, and may use them', async () => {
    const stubborn = guest.begin([
      'sh',
      '-c',
      'trap "" HUP; (trap "" HUP; sleep 1000) & echo $!; i=0; while :; do echo $i; i=$((i+1)); sleep 0.02; done',
    ]);
    const pid = await stubborn.started();
    await stubborn.says('3\n');
    const child = Number(stubborn.stdout.toString().split('\n')[0]);
    const closedAt = Date.now();
    await stubborn.close();
    await until(() => !isAlive(pid), 'the process');
    // It went on printing all that time: its output was taken and thrown away.
    assert.ok(Date.now() - closedAt >= 4900);
    await until(() => !isAlive(child), 'its child');
  });

  test('closing a channel that is not open is dropped, like all that may have crossed its end', async () => {
    const gone = await guest.run(['true']);
    for (const name of ['ChannelClose', 'InputEof'] as const) guest.send(name, gone.channel);
    guest.send('Credit', gone.channel, Uint8Array.of(0, 0, 0, 1));
    guest.send('ExecResize', gone.channel, Buffer.from('\x82\xa4cols\x01\xa4rows\x01', 'latin1'));
    await guest.roundTrip();
  });

  test('output that waited for credit goes with the channel', async () => {
    const flood = guest.begin(['cat', '/dev/zero'], { window: 100, givesCredit: false });
    const pid = await flood.started();
    await guest.until(() => flood.outputBytes === 100, 'the window');
    await flood.close();
    await until(() => !isAlive(pid), 'the process');
  });

  test('1,024 channels are open at once, and one more is refused whatever it is for', async () => {
    const open = Array.from({ length: 1000 }, () => guest.open('PortWatch', Uint8Array.of(0x80)));
    const readers = Array.from({ length: 24 }, () => guest.begin(['cat'], { stdin: true }));
    for (const channel of [...open, ...readers]) await channel.opened();
    assert.equal(await guest.refusal(['true']), 'limit_exceeded');
    assert.equal((await guest.open('PortWatch', Uint8Array.of(0x80)).refused()).code, 'limit_exceeded');
    assert.equal(
      (await guest.open('PortConnect', Buffer.from('\x81\xa4port\x01', 'latin1')).refused()).code,
      'limit_exceeded',
    );
    for (const channel of open) await channel.close();
    for (const reader of readers) reader.endStdin();
    for (const reader of readers) assert.equal((await reader.exited()).exitCode, 0);
  });

  test('messages of the responder are not taken from the requester', async () => {
    for (const name of ['Output', 'End', 'OutputEof', 'Ready', 'KeepAlive'] as const) {
      guest.send(name, 999_999, new Uint8Array(0), 5);
      assert.equal((await guest.nextError()).code, 'unknown_message', name);
    }
  });

  test('many small writes come in few frames', async () => {
    const script = 'i=0; while [ $i -lt 20000 ]; do echo 0123456789; i=$((i+1)); done';
    const slow = guest.begin(['sh', '-c', script], { window: 16_384, givesCredit: false });
    await guest.until(() => slow.outputBytes === 16_384, 'the window');
    // It sleeps when its pipe is full: what is in there was written in small pieces, and waits.
    const pid = await slow.started();
    await until(() => stateOf(pid) === 'S', 'the pipe being full');
    slow.takeAll();
    await slow.exited();
    assert.equal(slow.stdout.length, 220_000);
    assert.ok(slow.pieces.length < 20_000, `${slow.pieces.length} frames for 20,000 writes`);
  });

  test('an abandoned process does not stand in the way of the guest’s own end', async () => {
    await using other = await GuestDriver.start();
    const stubborn = other.begin(['sh', '-c', 'trap "" HUP TERM; echo on; while :; do sleep 0.05; done']);
    const pid = await stubborn.started();
    await stubborn.says('on');
    await stubborn.close();
    other.input.end();
    assert.equal(await other.ended(), 0);
    await until(() => !isAlive(pid), 'the process');
  });
});
