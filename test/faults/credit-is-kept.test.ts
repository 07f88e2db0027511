import assert from 'node:assert/strict';
import { test } from 'node:test';
import { messageTypes as type } from '../../protocol/message-types.ts';
import { echo, started } from '../data-plane/frames.ts';
import { SessionFixture } from '../data-plane/session-fixture.ts';
import { opened } from '../guest-link/recorded-channel.ts';
import { openScripted } from '../guest-link/scripted-guest.ts';
import { until } from '../support/until.ts';

/**
 * Whoever sends beyond his credit is cut off before anything else of his is heard: both ends of the way, each with a
 * question behind the violation whose answer would say that the service goes on (M11).
 */

test('D20 a client that sends beyond its credit is not answered any more', async () => {
  await using fixture = await SessionFixture.start();
  using client = await fixture.connect();
  client.send(type.ExecStart.code, 1, 1, echo);
  const channel = await fixture.guest.channel(0);
  channel.ack(started, 10);
  await client.on(1);
  client.send(type.Input.code, 1, 0, Buffer.alloc(11));
  client.send(type.Ping.code, 0, 2, Buffer.alloc(8));
  const answered = client.next(({ type: code, id }) => code === type.Pong.code && id === 2);
  const outcome = await Promise.race([
    client.closed.then(({ code }) => `closed with ${code}`),
    answered.then(
      () => 'answered',
      () => client.closed.then(({ code }) => `closed with ${code}`),
    ),
  ]);
  assert.equal(outcome, 'closed with 4400');
});

test('D20 a guest that sends beyond its credit loses its link with that frame', async () => {
  const { guest, link } = await openScripted({ window: 20 });
  const one = await opened(guest, link, 'FileRead');
  const other = await opened(guest, link, 'FileRead');
  one.say(type.Output.code, Buffer.alloc(21));
  other.say(type.Output.code, Buffer.alloc(1));
  let closed = '';
  void link.closed.then((why) => {
    closed = why;
  });
  await until(
    () => closed !== '' || other.receiver.frames.length === 2,
    'the end of the link, or the next frame',
  );
  assert.match(closed, /21 bytes of output with a credit of 20/);
});
