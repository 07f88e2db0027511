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
    const startedAt = performance.now();
    const open = await client.find(({ type }) => type === T.portOpen);
    assert.equal(open.hex, '40000000000000000081a4706f7274cd0bb8');
    assert.ok(performance.now() - startedAt < 2_500, 'Python needs its time to start, detection 2 s at most');

    using later = await XgenClient.connect(stand.url(id));
    const connectedAt = performance.now();
    assert.equal(later.frames.length, 1, 'SandboxReady alone');
    await later.find(({ type }) => type === T.portOpen);
    assert.ok(performance.now() - connectedAt < 1_000, 'within a second');
    assert.ok(performance.now() - connectedAt > 200, 'not in the same write');

    client.send(T.close, 5, 0);
    await client.outcome(5);
    const closedAt = performance.now();
    for (const each of [client, later]) {
      const close = await each.find(({ type }) => type === T.portClose);
      assert.equal(close.hex, '41000000000000000081a4706f7274cd0bb8');
      assert.equal(each.frames.filter(({ type }) => type === T.portOpen).length, 1);
    }
    assert.ok(performance.now() - closedAt < 2_000);
  });
});
