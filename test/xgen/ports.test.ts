import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { bubblewrapAsRoot } from '../support/bubblewrap-sandboxes.ts';
import { BubblewrapStand } from './bubblewrap-stand.ts';
import { T, XgenClient } from './xgen-client.ts';

const listen =
  'import socket,sys; s=socket.socket(); s.bind(("127.0.0.1",3000)); s.listen(); sys.stdin.read()';

describe('ports over an xgen socket', { skip: (await bubblewrapAsRoot()).skip }, () => {
  let stand: BubblewrapStand;
  let id: string;
  before(async () => {
    stand = await BubblewrapStand.start();
    id = await stand.boot();
  });
  after(() => stand[Symbol.asyncDispose]());

  it('15. a port is told when it opens and closes, and to a new connection after SandboxReady', async () => {
    using client = await XgenClient.connect(stand.url(id));
    client.send(T.start, 5, 0, { command: 'python3', args: ['-c', listen] });
    await client.find(({ type }) => type === T.ack);
    const open = await client.find(({ type }) => type === T.portOpen);
    assert.equal(open.hex, '40000000000000000081a4706f7274cd0bb8');

    using later = await XgenClient.connect(stand.url(id));
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
});
