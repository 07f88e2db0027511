import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type ChannelReceiver, ResponderError } from '../../protocol/channel-opener.ts';
import { encodeCredit, encodeError, parseCredit } from '../../protocol/control-messages.ts';
import { encodeExecResize } from '../../protocol/exec-messages.ts';
import { encodeListEnd, encodeTransferEnd } from '../../protocol/file-answers.ts';
import { noPayload } from '../../protocol/frame.ts';
import { inputWindowBytes } from '../../protocol/limits.ts';
import { emptyMap } from '../../protocol/map-message.ts';
import { isTerminal, messageName, messageTypes } from '../../protocol/message-types.ts';
import { encodePortList } from '../../protocol/port-messages.ts';
import { asked, entryBytes, opened, Recorder } from './recorded-channel.ts';
import { exitFrame, openScripted } from './scripted-guest.ts';
import { assertAlive, unreachable } from './scripted-link.ts';

const { Ack, ChannelClose, Credit, End, Error: Refusal, ExecResize, FileList, FileRead } = messageTypes;
const { FileStat, Input, InputEof, Output, PortConnect, PortList } = messageTypes;

describe('a channel', () => {
  it('is told everything from its Ack to its End, and nothing after it', async () => {
    const { guest, link } = await openScripted();
    const { receiver, channel, say } = await opened(guest, link, 'FileRead');
    say(Output.code, Buffer.from('abc'));
    say(End.code, encodeTransferEnd({ bytes: 3 }));
    await nextTurn();
    assert.deepEqual(receiver.names, ['Ack', 'Output', 'End']);
    channel.send(Credit.code, encodeCredit(3));
    channel.close();
    await assertAlive(guest, link);
    link.close();
    assert.equal(receiver.lost.length, 0);
  });

  it('lends a frame in one piece with its header to a receiver that asks for it', async () => {
    const { guest, link } = await openScripted();
    const messages: string[] = [];
    const receiver: ChannelReceiver = {
      takesLent: true,
      onFrame: ({ message, payload }) => {
        message?.fill(0, 1, 9);
        messages.push(`${Buffer.from(message ?? []).toString('hex')} ${payload.length}`);
      },
      onLost: () => {},
    };
    const channel = link.open(FileList.code, emptyMap, receiver);
    const { id } = await guest.next(FileList.code);
    guest.send({ type: Ack.code, channel: channel.number, id, payload: emptyMap });
    guest.send({ type: Output.code, channel: channel.number, payload: Buffer.from('abc') });
    await nextTurn();
    assert.deepEqual(messages, ['04000000000000000080 1', '220000000000000000616263 3']);
    link.close();
  });

  it('gives every other receiver bytes to keep', async () => {
    const { guest, link } = await openScripted();
    const { receiver, say } = await opened(guest, link, 'FileRead');
    for (let count = 0; count < 8; count += 1) {
      say(Output.code, Buffer.alloc(5_000, count));
      await nextTurn();
    }
    const kept = receiver.frames.slice(1);
    assert.equal(kept.length, 8);
    for (const [count, { payload }] of kept.entries()) assert.ok(payload.every((byte) => byte === count));
    link.close();
  });

  it('ends with an Error or with an End before it was open, each with the id of its request', async () => {
    const { guest, link } = await openScripted();
    const refused = await asked(guest, link, 'FileRead');
    refused.say(Refusal.code, encodeError({ code: 'not_found', message: 'x' }), refused.id);
    const stat = await asked(guest, link, 'FileStat');
    stat.say(End.code, entryBytes(), stat.id);
    await nextTurn();
    assert.deepEqual(refused.receiver.names, ['Error']);
    assert.deepEqual(stat.receiver.names, ['End']);
    await assertAlive(guest, link);
    link.close();
  });

  it('may open the next one when it hears of its end, at the limit of channels', async () => {
    const { guest, link } = await openScripted({}, { channelsMax: 1 });
    const next = new Recorder();
    const first: ChannelReceiver = {
      onFrame: ({ type }) => {
        if (isTerminal(type)) link.open(FileList.code, emptyMap, next);
      },
      onLost: () => {},
    };
    link.open(FileStat.code, emptyMap, first);
    assert.throws(() => link.open(FileStat.code, emptyMap, first), { code: 'LIMIT_EXCEEDED' });
    const { channel, id } = await guest.next(FileStat.code);
    guest.send({ type: End.code, channel, id, payload: entryBytes() });
    const { id: nextId, channel: nextChannel } = await guest.next(FileList.code);
    guest.send({ type: Ack.code, channel: nextChannel, id: nextId, payload: emptyMap });
    await nextTurn();
    assert.deepEqual(next.names, ['Ack']);
    link.close();
    assert.equal(next.lost.length, 1);
  });

  it('that is closed gets only the terminal frame, whichever that is', async () => {
    for (const [type, payload] of [
      [ChannelClose.code, noPayload],
      [End.code, encodeListEnd({ entries: 0, more: false })],
      [Refusal.code, encodeError({ code: 'io_error', message: '' })],
    ] as const) {
      const { guest, link } = await openScripted();
      const { receiver, channel, say } = await opened(guest, link, 'FileList');
      channel.close();
      channel.close();
      await guest.next(ChannelClose.code);
      say(Output.code, Buffer.from('late'));
      say(type, payload);
      await nextTurn();
      assert.deepEqual(receiver.names, ['Ack', messageName(type)]);
      assert.equal(guest.unread.length, 0, 'one close');
      await assertAlive(guest, link);
      link.close();
    }
  });

  it('can be closed before it was answered, whether the answer comes or not', async () => {
    const { guest, link } = await openScripted();
    const unanswered = await asked(guest, link, 'FileWrite');
    unanswered.channel.send(InputEof.code, noPayload);
    unanswered.channel.close();
    await guest.next(ChannelClose.code);
    unanswered.say(ChannelClose.code, noPayload);
    const answered = await asked(guest, link, 'FileWrite');
    answered.channel.close();
    await guest.next(ChannelClose.code);
    answered.say(Ack.code, emptyMap, answered.id);
    answered.say(ChannelClose.code, noPayload);
    await nextTurn();
    assert.deepEqual(unanswered.receiver.names, ['ChannelClose']);
    assert.deepEqual(answered.receiver.names, ['ChannelClose']);
    link.close();
  });

  it('D20 costs the guest its link when it is not opened in time; what ends without an Ack may take long', async () => {
    const { guest, link, clock } = await openScripted({ answerTimeoutMs: 50 });
    const long = await asked(guest, link, 'FileRemove');
    await opened(guest, link, 'FileRead');
    assert.equal(clock.timers, 0);
    const silent = await asked(guest, link, 'PortConnect');
    clock.advance(50);
    assert.match(await link.closed, /did not answer PortConnect within 50 ms/);
    for (const { receiver } of [long, silent]) assert.equal(receiver.lost.length, 1);
    assert.equal(clock.timers, 0);
  });

  it('is told once that its link is lost', async () => {
    const { guest, link } = await openScripted();
    const open = await opened(guest, link, 'FileList');
    const opening = await asked(guest, link, 'FileList');
    guest.transport.destroy(new Error('ECONNRESET'));
    await link.closed;
    for (const { receiver } of [open, opening]) {
      assert.equal(receiver.lost.length, 1);
      assert.ok(unreachable(/ECONNRESET/)(receiver.lost[0]));
    }
    open.channel.send(Credit.code, encodeCredit(1));
    open.channel.close();
    assert.throws(() => link.open(FileList.code, emptyMap, new Recorder()), unreachable(/ECONNRESET/));
    await assert.rejects(link.request(PortList.code, emptyMap), unreachable(/ECONNRESET/));
  });

  it('is told of the loss also when another receiver throws at it', async () => {
    const { guest, link } = await openScripted();
    link.open(FileStat.code, emptyMap, {
      onFrame: () => {},
      onLost: () => {
        throw new Error('a mistake');
      },
    });
    const second = new Recorder();
    link.open(FileStat.code, emptyMap, second);
    await guest.next(FileStat.code);
    link.close();
    assert.equal(second.lost.length, 1);
  });
});

describe('the credit of a channel', () => {
  it('for input begins with the Ack, and is never lifted above the window', async () => {
    const { guest, link } = await openScripted({}, { window: 100 });
    const { channel, id, say, receiver } = await asked(guest, link, 'FileWrite');
    assert.equal(channel.inputCredit, 0);
    assert.throws(() => channel.send(Input.code, Buffer.alloc(1)), /credit/);
    say(Ack.code, emptyMap, id);
    await nextTurn();
    assert.equal(channel.inputCredit, 100);
    channel.send(Input.code, Buffer.alloc(60));
    assert.equal(channel.inputCredit, 40);
    say(Credit.code, encodeCredit(4_294_967_295));
    await nextTurn();
    assert.equal(channel.inputCredit, 100);
    assert.deepEqual(receiver.names, ['Ack', 'Credit']);
    assert.throws(() => channel.send(Input.code, Buffer.alloc(101)), /credit/);
    link.close();
  });

  it('is none where a channel takes no input', async () => {
    const { guest, link } = await openScripted();
    const { channel } = await opened(guest, link, 'FileRead');
    assert.equal(channel.inputCredit, 0);
    link.close();
  });

  it('for output is what the request said, or the window of the link', async () => {
    for (const windowBytes of [10, undefined]) {
      const { guest, link } = await openScripted({ window: 20 });
      const options = windowBytes === undefined ? {} : { windowBytes };
      const { say } = await opened(guest, link, 'FileRead', options);
      say(Output.code, Buffer.alloc(windowBytes ?? 20));
      await assertAlive(guest, link);
      say(Output.code, Buffer.alloc(1));
      assert.match(await link.closed, /1 bytes of output with a credit of 0/);
    }
    const { link } = await openScripted({ window: 20 });
    assert.throws(() => link.open(FileRead.code, emptyMap, new Recorder(), { windowBytes: 21 }), /window/);
    link.close();
  });

  it('is granted on only for what has come, whatever is asked', async () => {
    const { guest, link } = await openScripted({ window: 100 });
    const { channel, say } = await opened(guest, link, 'FileRead');
    channel.send(Credit.code, encodeCredit(50));
    say(Output.code, Buffer.alloc(30));
    await nextTurn();
    assert.equal(guest.unread.length, 0, 'nothing had come that could be granted');
    channel.send(Credit.code, encodeCredit(10));
    channel.send(Credit.code, encodeCredit(4_000_000_000));
    channel.send(Credit.code, encodeCredit(1));
    assert.deepEqual(parseCredit((await guest.next(Credit.code)).payload), { value: 30 }, 'in one frame');
    say(Output.code, Buffer.alloc(100));
    await assertAlive(guest, link);
    link.close();
  });

  it('waits for a full transport in one frame', async () => {
    const { guest, link } = await openScripted({ window: 100_000 });
    const { channel, say } = await opened(guest, link, 'PortConnect');
    guest.stall();
    channel.send(Input.code, Buffer.alloc(100_000));
    await nextTurn();
    const handedOver = guest.unread.length;
    for (let round = 0; round < 100; round += 1) {
      say(Output.code, Buffer.alloc(1_000));
      await nextTurn();
      channel.send(Credit.code, encodeCredit(1_000));
    }
    assert.equal(guest.unread.length, handedOver);
    guest.resume();
    await nextTurn();
    const credits = guest.unread.filter(({ type }) => type === Credit.code);
    assert.deepEqual(
      credits.map(({ payload }) => parseCredit(payload)),
      [{ value: 100_000 }],
    );
    link.close();
  });
});

describe('what a channel sends', () => {
  it('keeps its order, with the end of input behind the last byte', async () => {
    const { guest, link } = await openScripted();
    const { channel } = await opened(guest, link, 'ExecStart');
    channel.send(Input.code, Buffer.alloc(70_000));
    channel.send(ExecResize.code, encodeExecResize({ cols: 9, rows: 9 }));
    channel.send(Input.code, Buffer.from('a'));
    channel.send(Input.code, Buffer.from('b'));
    channel.send(InputEof.code, noPayload);
    channel.close();
    await nextTurn();
    const sent = guest.unread.map(({ type, payload }) => `${messageName(type)} ${payload.length}`);
    const end = ['ExecResize 13', 'Input 2', 'InputEof 0', 'ChannelClose 0'];
    assert.deepEqual(sent, ['Input 65536', 'Input 4464', ...end]);
    link.close();
  });

  it('I14 is bounded while the guest does not read', async () => {
    const { guest, link } = await openScripted({}, { window: 1_048_576 });
    const { channel, say } = await opened(guest, link, 'ExecStart');
    guest.stall();
    channel.send(Input.code, Buffer.alloc(200_000));
    await nextTurn();
    const queuedBytes = guest.transport.writableLength;
    for (let index = 0; index < 100_000; index += 1) {
      channel.send(Input.code, Buffer.from([index & 0xff]));
      channel.send(ExecResize.code, encodeExecResize({ cols: 1, rows: 1 }));
    }
    await nextTurn();
    assert.equal(guest.transport.writableLength, queuedBytes);
    guest.resume();
    await nextTurn();
    const resizes = guest.unread.filter(({ type }) => type === ExecResize.code);
    assert.equal(resizes.length, 64);
    assert.ok(guest.unread.length < 200, `${guest.unread.length} frames`);
    guest.send(exitFrame(channel.number));
    say(0x7f);
    await link.closed;
  });

  it('I14 is bounded over all channels: a guest that lets it pile up for 10 s is given up, and no sooner', async () => {
    const { guest, link, clock } = await openScripted({}, { channelsMax: 1_024, window: inputWindowBytes });
    const count = 33_554_432 / inputWindowBytes + 2;
    const channels = [];
    while (channels.length < count) channels.push(await opened(guest, link, 'FileWrite'));
    const another = await opened(guest, link, 'FileWrite');
    guest.stall();
    const window = Buffer.alloc(inputWindowBytes);
    // What has left, or was given up with its channel, does not count any more.
    for (let round = 0; round < 2 * count; round += 1) {
      const { channel } = await opened(guest, link, 'FileWrite');
      channel.send(Input.code, window);
      guest.send({
        type: End.code,
        channel: channel.number,
        payload: encodeTransferEnd({ bytes: 0, sha256: Buffer.alloc(32) }),
      });
      await nextTurn();
      guest.resume();
      await nextTurn();
      guest.stall();
    }
    for (const { channel } of channels) channel.send(Input.code, window);
    await nextTurn();
    clock.advance(9_900);
    another.channel.send(Input.code, window.subarray(1));
    clock.advance(200);
    another.channel.send(Input.code, window.subarray(0, 1));
    assert.equal(await link.closed, 'the guest does not read its input');
    for (const { receiver } of channels) assert.equal(receiver.lost.length, 1);
  });

  it('may be lent: the bytes have left, or were copied, when the call returns', async () => {
    for (const isStalled of [false, true]) {
      const { guest, link } = await openScripted({}, { window: inputWindowBytes });
      const { channel } = await opened(guest, link, 'FileWrite');
      if (isStalled) guest.stall();
      const lent = Buffer.alloc(65_536);
      for (const [index, size] of [65_536, 20_000, 100, 65_536].entries()) {
        lent.fill(index + 1);
        channel.sendLent?.(lent.subarray(0, size));
      }
      lent.fill(0xff);
      channel.send(InputEof.code, noPayload);
      await nextTurn();
      guest.resume();
      await nextTurn();
      const sent = guest.unread.map(({ type, payload }) => `${messageName(type)} ${payload.length}`);
      assert.deepEqual(sent, ['Input 65536', 'Input 20000', 'Input 100', 'Input 65536', 'InputEof 0']);
      for (const [index, { payload }] of guest.unread.entries()) {
        assert.ok(
          payload.every((byte) => byte === index + 1),
          `frame ${index}`,
        );
      }
      link.close();
    }
  });

  it('takes turns with what others send', async () => {
    const { guest, link } = await openScripted({}, { window: 1_048_576 });
    const fat = await opened(guest, link, 'FileWrite');
    const thin = [];
    while (thin.length < 10) thin.push(await opened(guest, link, 'PortConnect'));
    guest.stall();
    fat.channel.send(Input.code, Buffer.alloc(1_000_000));
    await nextTurn();
    const handedOver = guest.unread.length;
    for (const { channel } of thin) channel.send(Input.code, Buffer.from('x'));
    guest.resume();
    await nextTurn();
    const behind = guest.unread.slice(handedOver).map(({ channel }) => channel);
    const last = Math.max(...thin.map(({ channel }) => behind.indexOf(channel.number)));
    assert.ok(last <= 11, `the last of ten thin ones is frame ${last}`);
    link.close();
  });
});

describe('a request on channel 0', () => {
  it('is answered by the Ack or the Error with its id, in any order', async () => {
    const { guest, link, clock } = await openScripted();
    const first = link.request(PortList.code, emptyMap);
    const second = link.request(PortList.code, emptyMap);
    const refused = link.request(PortList.code, emptyMap);
    const ids = [
      await guest.next(PortList.code),
      await guest.next(PortList.code),
      await guest.next(PortList.code),
    ];
    const [a, b, c] = ids.map(({ id }) => id);
    guest.send(
      { type: Refusal.code, id: c ?? 0, payload: encodeError({ code: 'limit_exceeded', message: 'no' }) },
      { type: Ack.code, id: b ?? 0, payload: encodePortList([2]) },
      { type: Ack.code, id: a ?? 0, payload: encodePortList([1]) },
    );
    assert.deepEqual(new Uint8Array(await first), new Uint8Array(encodePortList([1])));
    assert.deepEqual(new Uint8Array(await second), new Uint8Array(encodePortList([2])));
    await assert.rejects(
      refused,
      (error) => error instanceof ResponderError && error.code === 'limit_exceeded',
    );
    assert.equal(clock.timers, 0);
    link.close();
  });

  it('D20 is given up after its time; the late answer is no violation, and a guest that owes 64 is asked no more', async () => {
    const { guest, link, clock } = await openScripted({ answerTimeoutMs: 50 });
    const silent = link.request(PortList.code, emptyMap);
    const late = await guest.next(PortList.code);
    clock.advance(50);
    await assert.rejects(silent, unreachable(/did not answer PortList within 50 ms/));
    guest.send({ type: Ack.code, id: late.id, payload: encodePortList([]) });
    await assertAlive(guest, link);
    const pending = Array.from({ length: 65 }, () => link.request(PortList.code, emptyMap));
    const settled = Promise.allSettled(pending);
    await assert.rejects(pending[64] ?? Promise.resolve(), { code: 'LIMIT_EXCEEDED' });
    link.close();
    for (const outcome of (await settled).slice(0, 64)) {
      assert.equal(outcome.status, 'rejected');
      assert.ok(unreachable(/./)(outcome.reason));
    }
    assert.equal(clock.timers, 0);
  });
});

it('opens channels by opening types only', async () => {
  const { link } = await openScripted();
  assert.throws(() => link.open(Output.code, emptyMap, new Recorder()), /opens no channel/);
  await assert.rejects(link.request(PortConnect.code, emptyMap), /no request on channel 0/);
  link.close();
});
