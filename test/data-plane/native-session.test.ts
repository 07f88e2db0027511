import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ResponderError } from '../../protocol/channel-opener.ts';
import { decodeControlMap } from '../../protocol/control-map.ts';
import { encodeCredit, encodeError } from '../../protocol/control-messages.ts';
import { parseExecStart } from '../../protocol/exec-messages.ts';
import { inputWindowBytes } from '../../protocol/limits.ts';
import { messageTypes as type } from '../../protocol/message-types.ts';
import { parseReady } from '../../protocol/session-messages.ts';
import { WarmpoolError } from '../../src/domain/errors.ts';
import { codeOf, echo, exited, fieldsOf, settled, started } from './frames.ts';
import { RawClient } from './raw-client.ts';
import { execStart, map, SessionFixture } from './session-fixture.ts';

test('Ready comes first, and says what the connection may do', async () => {
  await using fixture = await SessionFixture.start();
  using client = await RawClient.open(fixture.url, { token: fixture.tokenFor() });
  const ready = parseReady((await client.ready()).payload);
  assert.deepEqual(ready, {
    value: {
      sandbox: fixture.record.id,
      lease: { remainingMs: 300_000, ttlMs: 300_000, endOfLifeMs: 86_400_000 },
      window: 262_144,
      inputWindow: inputWindowBytes,
      channelsMax: 1_024,
      frameBytesMax: 65_536,
      pingMs: 15_000,
    },
  });
  assert.equal(client.ws.protocol, 'warmpool.v1');
  assert.equal(fixture.grants[0]?.claimId, fixture.record.claim?.claimId);
});

test('a client is promised no more input than its guest takes, which may be older than the service', async () => {
  await using fixture = await SessionFixture.start();
  fixture.guest.inputWindowBytes = 65_536;
  using client = await RawClient.open(fixture.url, { token: fixture.tokenFor() });
  const ready = parseReady((await client.ready()).payload);
  assert.equal('value' in ready && ready.value.inputWindow, 65_536);
});

test('a start goes to the guest completed by the claim, and its frames come back under the numbers of the client', async () => {
  await using fixture = await SessionFixture.start();
  using client = await fixture.connect();
  client.send(type.ExecStart.code, 5, 77, execStart(['env'], { env: { A: 'b' }, cwd: '/tmp' }));
  const channel = await fixture.guest.channel(0);
  assert.deepEqual(parseExecStart(channel.payload), {
    value: {
      argv: ['env'],
      env: { FROM: 'claim', A: 'b' },
      cwd: '/tmp',
      user: 'user',
      stdin: true,
      window: 262_144,
    },
  });
  channel.ack(started);
  channel.emit(type.Output.code, Buffer.from('out'));
  channel.emit(type.ErrorOutput.code, Buffer.from('err'));
  channel.emit(type.Credit.code, encodeCredit(3));
  channel.emit(type.ExecExit.code, exited);
  const told = [];
  for (let count = 0; count < 5; count += 1) told.push(await client.on(5));
  assert.deepEqual(
    told.map(({ type: code, id }) => [code, id]),
    [
      [type.Ack.code, 77],
      [type.Output.code, 0],
      [type.ErrorOutput.code, 0],
      [type.Credit.code, 0],
      [type.ExecExit.code, 0],
    ],
  );
  assert.deepEqual(fieldsOf(told[0] ?? assert.fail()), { pid: 7, process: 1 });
  assert.equal(Buffer.from(told[1]?.payload ?? []).toString(), 'out');
});

test('file requests get the user and folder of the claim; numbers over 32 bits and names that are no text pass', async () => {
  await using fixture = await SessionFixture.start();
  using client = await fixture.connect();
  const path = Uint8Array.of(0x2f, 0xff, 0xfe);
  client.send(type.FileRead.code, 1, 1, map({ path, offset: 2 ** 40, length: 7 }));
  client.send(type.FileRename.code, 2, 2, map({ path: 'a', to: 'b', user: 'root', cwd: '/srv' }));
  const read = decodeControlMap((await fixture.guest.channel(0)).payload);
  assert.deepEqual('value' in read && { ...read.value, path: new Uint8Array(Object(read.value.path)) }, {
    path,
    user: 'user',
    cwd: '/home/user',
    window: 262_144,
    offset: 2 ** 40,
    length: 7,
  });
  const rename = decodeControlMap((await fixture.guest.channel(1)).payload);
  assert.deepEqual('value' in rename && [rename.value.user, rename.value.cwd, rename.value.to], [
    'root',
    '/srv',
    'b',
  ]);
});

test('two clients may use the same numbers', async () => {
  await using fixture = await SessionFixture.start();
  using one = await fixture.connect();
  using other = await fixture.connect();
  one.send(type.ExecStart.code, 1, 1, echo);
  const first = await fixture.guest.channel(0);
  other.send(type.ExecStart.code, 1, 1, echo);
  const second = await fixture.guest.channel(1);
  assert.notEqual(first.number, second.number);
  second.ack(started);
  second.emit(type.Output.code, Buffer.from('second'));
  first.ack(started);
  first.emit(type.Output.code, Buffer.from('first'));
  for (const [client, text] of [
    [one, 'first'],
    [other, 'second'],
  ] as const) {
    assert.equal((await client.on(1)).type, type.Ack.code);
    assert.equal(Buffer.from((await client.on(1)).payload).toString(), text);
  }
});

test('a channel in use is refused to a second request, and goes on; after its terminal frame the number is free', async () => {
  await using fixture = await SessionFixture.start();
  using client = await fixture.connect();
  const endings: readonly (readonly [number, Uint8Array])[] = [
    [type.ExecExit.code, exited],
    [type.End.code, map({})],
    [type.Error.code, encodeError({ code: 'taken_over', message: '' })],
    [type.ChannelClose.code, new Uint8Array(0)],
  ];
  for (const [index, [ending, payload]] of endings.entries()) {
    client.send(type.ExecStart.code, 9, 1, echo);
    const channel = await fixture.guest.channel(index);
    client.send(type.FileStat.code, 9, 2, map({ path: '/' }));
    const refused = await client.on(9);
    assert.deepEqual([codeOf(refused), refused.id], ['channel_in_use', 2]);
    channel.ack(started);
    assert.equal((await client.on(9)).type, type.Ack.code);
    channel.emit(ending, payload);
    assert.equal((await client.on(9)).type, ending);
  }
  assert.equal(fixture.guest.channels.length, endings.length);
});

test('4.2 a connection is granted 1 MiB of output in all: an Ack says where a channel got less than it asked for', async () => {
  await using fixture = await SessionFixture.start();
  using client = await fixture.connect();
  const windows: number[] = [];
  for (let number = 1; number <= 1_024; number += 1) {
    client.send(type.ExecStart.code, number, number, echo);
    const channel = await fixture.guest.channel(number - 1);
    channel.ack(started);
    const { window } = fieldsOf(await client.on(number));
    assert.equal(window ?? 262_144, channel.window);
    const inRequest = parseExecStart(channel.payload);
    assert.equal('value' in inRequest && inRequest.value.window, channel.window);
    windows.push(channel.window);
  }
  assert.deepEqual(windows.slice(0, 3), [262_144, 196_608, 147_456]);
  assert.ok(windows.every((window) => window >= 1_024));
  const sum = windows.reduce((total, window) => total + window, 0);
  assert.ok(sum <= 1_048_576 + 1_024 * 1_024, `${sum} bytes are granted`);

  client.send(type.ExecStart.code, 2_000, 1, echo);
  assert.equal(codeOf(await client.on(2_000)), 'limit_exceeded');
  // What ends gives its window back.
  for (const channel of fixture.guest.channels) channel.emit(type.ExecExit.code, exited);
  await settled(client);
  client.send(type.ExecStart.code, 2_001, 1, execStart(['x'], { window: 1_048_576 }));
  const last = await fixture.guest.channel(1_024);
  assert.equal(last.window, 262_144);
  last.ack(started);
  assert.equal(fieldsOf(await client.on(2_001)).window, 262_144);
  client.send(type.PortConnect.code, 2_002, 1, map({ port: 80, window: 10 }));
  assert.equal((await fixture.guest.channel(1_025)).window, 10);
});

test('input passes within its credit; credit, signals, sizes and the end pass as well', async () => {
  await using fixture = await SessionFixture.start();
  using client = await fixture.connect();
  client.send(type.ExecStart.code, 3, 1, echo);
  const channel = await fixture.guest.channel(0);
  channel.ack(started, 10);
  await client.on(3);
  client.send(type.Input.code, 3, 0, Buffer.from('0123456789'));
  client.send(type.ExecSignal.code, 3, 0, map({ signal: 15 }));
  client.send(type.ExecResize.code, 3, 0, map({ cols: 120, rows: 40 }));
  client.send(type.Credit.code, 3, 0, encodeCredit(4_096));
  client.send(type.InputEof.code, 3, 0);
  client.send(type.ChannelClose.code, 3, 0);
  await channel.until(({ isClosed }) => isClosed);
  assert.deepEqual(
    channel.sent.map((sent) => [sent.type, sent.payload.toString('latin1')]),
    [
      [type.Input.code, '0123456789'],
      [type.ExecSignal.code, Buffer.from(map({ signal: 15 })).toString('latin1')],
      [type.ExecResize.code, Buffer.from(map({ cols: 120, rows: 40 })).toString('latin1')],
      [type.Credit.code, Buffer.from(encodeCredit(4_096)).toString('latin1')],
      [type.InputEof.code, ''],
    ],
  );
  // The terminal frame that crossed the close is still told, and then the number is free.
  channel.emit(type.ExecExit.code, exited);
  assert.equal((await client.on(3)).type, type.ExecExit.code);
  client.send(type.ExecStart.code, 3, 1, echo);
  await fixture.guest.channel(1);
});

test('what is for a channel that is not open is dropped: it may have crossed its end', async () => {
  await using fixture = await SessionFixture.start();
  using client = await fixture.connect();
  client.send(type.Input.code, 8, 0, Buffer.alloc(60_000));
  client.send(type.Credit.code, 8, 0, encodeCredit(1));
  client.send(type.InputEof.code, 8, 0);
  client.send(type.ExecSignal.code, 8, 0, map({ signal: 9 }));
  client.send(type.ChannelClose.code, 8, 0);
  await settled(client);
  assert.deepEqual(client.frames, []);
});

test('I12 what a client sends is not changed by what the transport does with its memory afterwards', async () => {
  await using fixture = await SessionFixture.start();
  using client = await fixture.connect();
  client.send(type.ExecStart.code, 3, 1, echo);
  const channel = await fixture.guest.channel(0);
  channel.ack(started, 1_000_000);
  await client.on(3);
  for (let index = 0; index < 200; index += 1) client.send(type.Input.code, 3, 0, Buffer.alloc(500, index));
  await settled(client);
  assert.equal(channel.sent.length, 200);
  assert.ok(channel.sent.every(({ payload }, index) => payload.equals(Buffer.alloc(500, index))));
});

test('what the guest refuses, and what cannot be opened now, is an Error of that channel', async () => {
  await using fixture = await SessionFixture.start();
  using client = await fixture.connect();
  client.send(type.FileRead.code, 1, 5, map({ path: '/none' }));
  const channel = await fixture.guest.channel(0);
  channel.emit(type.Error.code, encodeError({ code: 'not_found', message: 'no such file' }), channel.number);
  const refused = await client.on(1);
  assert.deepEqual([codeOf(refused), refused.id], ['not_found', 5]);
  fixture.guest.refusal = new WarmpoolError('LIMIT_EXCEEDED', 'the sandbox has 1024 channels open already');
  client.send(type.FileRead.code, 1, 6, map({ path: '/none' }));
  assert.equal(codeOf(await client.on(1)), 'limit_exceeded');
  fixture.guest.refusal = new WarmpoolError('GUEST_UNREACHABLE', 'gone');
  client.send(type.FileRead.code, 1, 7, map({ path: '/none' }));
  assert.equal(codeOf(await client.on(1)), 'not_ready');
  fixture.guest.refusal = new Error('a mistake with a secret in it');
  client.send(type.FileRead.code, 1, 8, map({ path: '/none' }));
  const mistake = await client.on(1);
  assert.equal(codeOf(mistake), 'not_ready');
  assert.ok(!Buffer.from(mistake.payload).includes('secret'));
  client.send(type.FileRead.code, 1, 9, map({ path: '/there' }));
  await fixture.guest.channel(1);
});

test('questions on channel 0 are answered once each, and 64 may wait', async () => {
  await using fixture = await SessionFixture.start();
  using client = await fixture.connect();
  fixture.guest.onRequest = async (asked) =>
    map(asked === type.PortList.code ? { ports: [80] } : { processes: [] });
  client.send(type.PortList.code, 0, 1, map({}));
  assert.deepEqual(fieldsOf(await client.next(({ id }) => id === 1)), { ports: [80] });
  client.send(type.ExecList.code, 0, 2, map({ later: 'key' }));
  assert.equal((await client.next(({ id }) => id === 2)).type, type.Ack.code);
  client.send(type.KeepAlive.code, 0, 3, map({}));
  assert.deepEqual(fieldsOf(await client.next(({ id }) => id === 3)), {
    remaining_ms: 300_000,
    ttl_ms: 300_000,
    end_of_life_ms: 86_400_000,
  });
  fixture.guest.onRequest = async () => {
    throw new ResponderError('limit_exceeded', 'too many at once');
  };
  client.send(type.Stats.code, 0, 4, map({}));
  assert.equal(codeOf(await client.next(({ id }) => id === 4)), 'limit_exceeded');
  fixture.guest.onRequest = async () => {
    throw new WarmpoolError('GUEST_UNREACHABLE', 'gone');
  };
  client.send(type.Stats.code, 0, 5, map({}));
  assert.equal(codeOf(await client.next(({ id }) => id === 5)), 'not_ready');
  client.send(type.Stats.code, 0, 0, map({}));
  assert.equal(codeOf(await client.on(0)), 'invalid_payload');

  const answers: ((payload: Uint8Array) => void)[] = [];
  fixture.guest.onRequest = () => new Promise((resolve) => answers.push(resolve));
  for (let id = 10; id < 74; id += 1) client.send(type.Stats.code, 0, id, map({}));
  client.send(type.Stats.code, 0, 99, map({}));
  assert.equal(codeOf(await client.next(({ id }) => id === 99)), 'limit_exceeded');
  assert.equal(answers.length, 64);
  for (const answer of answers) answer(map({}));
  for (let id = 10; id < 74; id += 1)
    assert.equal((await client.next((frame) => frame.id === id)).type, type.Ack.code);
});

test('Ping is answered with its bytes and id, and a Pong with nothing', async () => {
  await using fixture = await SessionFixture.start();
  using client = await fixture.connect();
  client.send(type.Pong.code, 0, 3, Buffer.from('x'));
  client.send(type.Ping.code, 0, 7, Buffer.from('12345678'));
  const pong = await client.on(0);
  assert.deepEqual(
    [pong.type, pong.id, Buffer.from(pong.payload).toString()],
    [type.Pong.code, 7, '12345678'],
  );
});
