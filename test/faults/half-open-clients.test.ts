import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { WebSocket } from 'ws';
import { type RecordedSession, SocketFixture, socketAdapters } from '../data-plane/socket-fixture.ts';
import { until } from '../support/until.ts';

/**
 * T16, R4: half of 200 clients freeze with data on its way to them. The service's pings come every 15 s; here they come
 * faster, and slow enough that a busy machine does not take an honest client for a frozen one. That 10,000 clients come and
 * go is in `test/data-plane/churn.test.ts`.
 */

const clientCount = 200;
const messageBytes = 10_000;
const messagesEach = 20;
const pingMs = 1_500;

for (const adapter of socketAdapters.slice(0, 2)) {
  test(`${adapter.name}: T16 R4 I14 of 200 clients 100 freeze: they are found, and the others get everything in order`, {
    skip: adapter.skip,
  }, async () => {
    await using fixture = await SocketFixture.start(adapter, { pingMs });
    const all: { client: WebSocket; session: RecordedSession; got: number[] }[] = [];
    for (let index = 0; index < clientCount; index += 1) {
      // A sandbox has fewer clients than that.
      const url = `${fixture.url}-${index}`;
      const client = await fixture.connect({ url, autoPong: index % 2 === 0 });
      const session = await fixture.session(index);
      const got: number[] = [];
      client.on('message', (data: Buffer) => got.push(data.readUInt32BE(0)));
      all.push({ client, session, got });
    }
    const frozen = all.filter((_, index) => index % 2 === 1);
    const honest = all.filter((_, index) => index % 2 === 0);
    for (const { client } of frozen) client.pause();
    const piece = Buffer.alloc(messageBytes);
    for (let number = 0; number < messagesEach; number += 1) {
      piece.writeUInt32BE(number);
      for (const { session } of all) session.socket.send(piece);
      // What is lent is taken, and written over; the clients get their turn as well.
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
    assert.ok(fixture.queues.totalBytes <= (clientCount / 2) * messagesEach * (messageBytes + 16));
    await until(
      () => frozen.every(({ session }) => session.closes.length === 1),
      () =>
        `${frozen.filter(({ session }) => session.closes.length === 0).length} frozen ones are still there`,
    );
    const inOrder = Array.from({ length: messagesEach }, (_, number) => number);
    await until(
      () => honest.every(({ got }) => got.length === messagesEach),
      () => `messages are missing: ${honest.map(({ got }) => got.length).join()}`,
    );
    for (const { got, session } of honest) {
      assert.deepEqual(got, inOrder);
      assert.deepEqual(session.closes, []);
    }
    await until(() => fixture.queues.totalBytes === 0, 'what waited for the frozen ones to be let go');
    for (const { client } of all) client.terminate();
    await until(() => fixture.door.size === 0, 'every socket to be forgotten');
  });
}
