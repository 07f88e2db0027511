import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { XgenPlace } from './process-acceptance.ts';
import { T } from './xgen-client.ts';

const listen =
  'import socket,sys; s=socket.socket(); s.bind(("127.0.0.1",3000)); s.listen(); sys.stdin.read()';

/** Ports over a socket: point 15 of the acceptance, as a test of the suite that calls it. */
export function portAcceptance(place: () => XgenPlace): void {
  it('15. a port is told when it opens and closes, and to a new connection after SandboxReady', async () => {
    using client = await place().connect();
    client.send(T.start, 5, 0, { command: 'python3', args: ['-c', listen] });
    await client.find(({ type }) => type === T.ack);
    const open = await client.find(({ type }) => type === T.portOpen);
    assert.equal(open.hex, '40000000000000000081a4706f7274cd0bb8');

    using later = await place().connect();
    await later.find(({ type }) => type === T.portOpen);
    assert.deepEqual(
      later.frames.map(({ type }) => type),
      [T.ready, T.portOpen],
    );

    client.send(T.close, 5, 0);
    await client.outcome(5);
    for (const each of [client, later]) {
      const close = await each.find(({ type }) => type === T.portClose);
      assert.equal(close.hex, '41000000000000000081a4706f7274cd0bb8');
      assert.equal(each.frames.filter(({ type }) => type === T.portOpen).length, 1);
    }
  });
}
