import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeError } from '../../protocol/control-messages.ts';
import { messageTypes as type } from '../../protocol/message-types.ts';
import { codeOf, echo, exited, settled, started } from './frames.ts';
import type { RawClient } from './raw-client.ts';
import { map, SessionFixture } from './session-fixture.ts';

type Act = (client: RawClient, ack: () => void) => unknown;

for (const [what, act] of Object.entries<Act>({
  'input over its credit': async (client, ack) => {
    ack();
    await client.on(1);
    client.send(type.Input.code, 1, 0, Buffer.alloc(11));
  },
  'input before the Ack, when there is no credit yet': (client) =>
    client.send(type.Input.code, 1, 0, Buffer.alloc(1)),
  'input behind its end': async (client, ack) => {
    ack();
    await client.on(1);
    client.send(type.InputEof.code, 1, 0);
    client.send(type.Input.code, 1, 0, Buffer.alloc(1));
  },
  'a message shorter than a header': (client) => client.ws.send(Buffer.alloc(8)),
  'an empty message': (client) => client.ws.send(Buffer.alloc(0)),
  'a ping of 65 bytes': (client) => client.send(type.Ping.code, 0, 1, Buffer.alloc(65)),
  'a Credit of three bytes': (client) => client.send(type.Credit.code, 1, 0, Buffer.alloc(3)),
  'a Credit of five bytes': (client) => client.send(type.Credit.code, 1, 0, Buffer.alloc(5)),
  'an InputEof with a payload': (client) => client.send(type.InputEof.code, 1, 0, Buffer.alloc(1)),
  'a start that is no MessagePack': (client) => client.send(type.ExecStart.code, 2, 1, Buffer.from([0xc1])),
  'a start that is a list': (client) => client.send(type.ExecStart.code, 2, 1, Buffer.from([0x90])),
  'a start that is cut short': (client) => client.send(type.ExecStart.code, 2, 1, echo.subarray(0, -1)),
  'a request on channel 0 that is no MessagePack': (client) =>
    client.send(type.Stats.code, 0, 1, Buffer.from([0xff])),
  'a signal that is no MessagePack': (client) => client.send(type.ExecSignal.code, 1, 1, Buffer.alloc(0)),
  'nesting without end': (client) => client.send(type.ExecStart.code, 2, 1, Buffer.alloc(5_000, 0x91)),
  'a list that says it has 2^32 elements': (client) =>
    client.send(type.ExecStart.code, 2, 1, Buffer.from('81a461726776ddffffffff', 'hex')),
  'a map that says it has 2^32 pairs': (client) =>
    client.send(type.ExecStart.code, 2, 1, Buffer.from('dfffffffff', 'hex')),
  'text that says it has 2^32 bytes': (client) =>
    client.send(type.ExecStart.code, 2, 1, Buffer.from('81a461726776dbffffffff', 'hex')),
  'bytes that say they are 2^32': (client) =>
    client.send(type.FileStat.code, 2, 1, Buffer.from('81a470617468c6ffffffff', 'hex')),
  '65,000 empty maps': (client) =>
    client.send(
      type.ExecStart.code,
      2,
      1,
      Buffer.concat([Buffer.from('81a461726776dcfde8', 'hex'), Buffer.alloc(65_000, 0x80)]),
    ),
  'the key __proto__': (client) =>
    client.send(
      type.ExecStart.code,
      2,
      1,
      Buffer.concat([Buffer.from([0x81, 0xa9]), Buffer.from('__proto__'), Buffer.from([0x80])]),
    ),
  'the extension of records': (client) =>
    client.send(type.ExecStart.code, 2, 1, Buffer.from('81a461726776d4720100', 'hex')),
  'the extension of errors': (client) =>
    client.send(type.ExecStart.code, 2, 1, Buffer.from('81a461726776c70165c0', 'hex')),
  nil: (client) => client.send(type.ExecStart.code, 2, 1, Buffer.from('81a461726776c0', 'hex')),
})) {
  test(`R5 ${what} closes the socket with 4400, and nothing but it`, async () => {
    await using fixture = await SessionFixture.start();
    using bystander = await fixture.connect();
    using client = await fixture.connect();
    client.send(type.ExecStart.code, 1, 1, echo);
    const channel = await fixture.guest.channel(0);
    await act(client, () => channel.ack(started, 10));
    const { code, reason } = await client.closed;
    assert.equal(code, 4400, reason);
    assert.notEqual(reason, '');
    assert.ok(channel.isClosed);
    await settled(bystander);
    assert.equal(fixture.guest.channels.length, 1);
    assert.equal(fixture.sessions[1]?.closed, true);
  });
}

test('text closes with 1003', async () => {
  await using fixture = await SessionFixture.start();
  using client = await fixture.connect();
  client.ws.send('{"type":"exec"}');
  assert.equal((await client.closed).code, 1003);
});

test('R5 what is only wrong is answered on its channel and with its id, and the socket goes on', async () => {
  await using fixture = await SessionFixture.start();
  using client = await fixture.connect();
  client.send(type.ExecStart.code, 1, 1, echo);
  (await fixture.guest.channel(0)).ack(started);
  client.send(type.FileWatch.code, 2, 1, map({ path: '/' }));
  (await fixture.guest.channel(1)).ack();
  await client.on(1);
  await client.on(2);
  const empty = new Uint8Array(0);
  const wrong: readonly (readonly [number, number, Uint8Array, string])[] = [
    [0x7f, 5, empty, 'unknown_message'],
    [0x00, 0, empty, 'unknown_message'],
    [0xff, 0, Buffer.alloc(60_000), 'unknown_message'],
    [type.Hello.code, 0, map({}), 'unknown_message'],
    [type.Welcome.code, 0, map({}), 'unknown_message'],
    [type.Ready.code, 0, map({}), 'unknown_message'],
    [type.Ack.code, 1, map({}), 'unknown_message'],
    [type.Output.code, 1, Buffer.from('x'), 'unknown_message'],
    [type.ExecExit.code, 1, exited, 'unknown_message'],
    [type.End.code, 2, map({}), 'unknown_message'],
    [type.Error.code, 1, encodeError({ code: 'not_found', message: '' }), 'unknown_message'],
    [type.ExecStart.code, 0, echo, 'unknown_message'],
    [type.Input.code, 0, Buffer.from('x'), 'unknown_message'],
    [type.ChannelClose.code, 0, empty, 'unknown_message'],
    [type.Ping.code, 4, Buffer.from('x'), 'unknown_message'],
    [type.Stats.code, 4, map({}), 'unknown_message'],
    [type.ExecSignal.code, 2, map({ signal: 9 }), 'unknown_message'],
    [type.ExecStart.code, 6, map({}), 'invalid_payload'],
    [type.ExecStart.code, 6, map({ argv: [] }), 'invalid_payload'],
    [type.ExecStart.code, 6, map({ argv: ['x'], window: 0 }), 'invalid_payload'],
    [type.ExecStart.code, 6, map({ argv: ['x'], window: 1_048_577 }), 'invalid_payload'],
    [type.ExecStart.code, 6, map({ argv: ['x'], tty: true, stdin: false }), 'invalid_payload'],
    [type.ExecStart.code, 6, map({ argv: ['x'.repeat(65_480)] }), 'invalid_payload'],
    [type.FileStat.code, 6, map({ path: '' }), 'invalid_payload'],
    [type.FileStat.code, 6, map({ path: 'a\0b' }), 'invalid_payload'],
    [type.FileStat.code, 6, map({ path: 'x'.repeat(4_096) }), 'invalid_payload'],
    [type.PortConnect.code, 6, map({ port: 0 }), 'invalid_payload'],
    [type.PortConnect.code, 6, map({ port: 65_536 }), 'invalid_payload'],
    [type.ExecSignal.code, 1, map({ signal: 65 }), 'invalid_payload'],
    [type.ExecResize.code, 1, map({ cols: 0, rows: 1 }), 'invalid_payload'],
    [type.KeepAlive.code, 0, map({ ttl_ms: 'long' }), 'invalid_payload'],
  ];
  for (const [index, [code, channel, payload, expected]] of wrong.entries()) {
    const id = 100 + index;
    client.send(code, channel, id, payload);
    const answer = await client.next((frame) => frame.id === id);
    assert.deepEqual([codeOf(answer), answer.channel], [expected, channel], `number ${index}`);
  }
  // Both channels are as they were.
  assert.equal(fixture.guest.channels.length, 2);
  fixture.guest.channels[0]?.emit(type.Output.code, Buffer.from('on'));
  assert.equal(Buffer.from((await client.on(1)).payload).toString(), 'on');
  assert.deepEqual(
    fixture.guest.channels.map(({ sent, isClosed }) => [sent.length, isClosed]),
    [
      [0, false],
      [0, false],
    ],
  );
});

test('a wrong frame without an id ends the channel it is on: its Error is the terminal frame', async () => {
  await using fixture = await SessionFixture.start();
  using client = await fixture.connect();
  client.send(type.ExecStart.code, 1, 1, echo);
  const channel = await fixture.guest.channel(0);
  channel.ack(started);
  await client.on(1);
  client.send(type.ExecSignal.code, 1, 0, map({ signal: 0 }));
  assert.equal(codeOf(await client.on(1)), 'invalid_payload');
  assert.ok(channel.isClosed);
  client.send(type.ExecStart.code, 1, 2, echo);
  const next = await fixture.guest.channel(1);
  // The old one's last frames are not taken for the new one's.
  channel.emit(type.Output.code, Buffer.from('old'));
  channel.emit(type.ExecExit.code, exited);
  next.ack(started);
  const answer = await client.on(1);
  assert.deepEqual([answer.type, answer.id], [type.Ack.code, 2]);
});
