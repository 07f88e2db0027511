import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { describe, test } from 'node:test';
import { SocketFixture, socketAdapters } from './socket-fixture.ts';

/** By the adapter's own clock: Node's HTTP server looks every half second, the addon in steps of four. */
const silentMsMax: Readonly<Record<string, number>> = {
  'uWebSockets.js': 13_000,
  'ws on the data port': 6_500,
  'ws on the HTTP port': 7_000,
};

for (const adapter of socketAdapters) {
  describe(`silent connections to ${adapter.name}`, { skip: adapter.skip }, () => {
    test('A9 are cut in their thousand, whether they said nothing or half a request; others are served meanwhile', async () => {
      await using fixture = await SocketFixture.start(adapter);
      const beganMs = performance.now();
      const silent = Array.from({ length: 1_000 }, (_, index) =>
        silentConnection(fixture.port, index % 2 === 0),
      );
      const good = await fixture.both();
      good.session.echoes = true;
      good.client.send(Buffer.from('served'));
      assert.equal(String((await once(good.client, 'message'))[0]), 'served');
      await Promise.all(silent.map((socket) => (socket.closed ? null : once(socket, 'close'))));
      const tookMs = performance.now() - beganMs;
      assert.ok(tookMs < (silentMsMax[adapter.name] ?? 0) + 5_000, `${tookMs} ms`);
      good.client.terminate();
    });
  });
}

function silentConnection(port: number, saysHalf: boolean): Socket {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.resume();
  if (saysHalf) socket.write('GET /sandboxes/box HTTP/1.1\r\nHost: localhost\r\nUpgrade: web');
  return socket;
}
