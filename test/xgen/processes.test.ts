import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { bubblewrapAsRoot } from '../support/bubblewrap-sandboxes.ts';
import { BubblewrapStand } from './bubblewrap-stand.ts';
import { processAcceptance } from './process-acceptance.ts';
import { T, XgenClient } from './xgen-client.ts';

describe('processes over an xgen socket', { skip: (await bubblewrapAsRoot()).skip }, () => {
  let stand: BubblewrapStand;
  let id: string;
  before(async () => {
    stand = await BubblewrapStand.start();
    id = await stand.boot();
  });
  after(() => stand[Symbol.asyncDispose]());
  processAcceptance(() => stand.place(id));

  it('a sandbox that fails is told once, then the socket closes with 1011; one that ends closes with 1001', async () => {
    using failed = await stand.place(id).connect();
    using other = await XgenClient.connect(stand.url(await stand.boot()));
    stand.tellEnd(id, { reason: 'link_lost', failed: true });
    assert.equal((await failed.closed).code, 1011);
    assert.equal(
      failed.frames.at(-1)?.hex,
      '51000000000000000082a4636f6465ae73616e64626f785f6661696c6564a76d657373616765ae72756e74696d6520657869746564',
    );
    assert.equal(other.socket.readyState, other.socket.OPEN);
    using ended = await stand.place(id).connect();
    stand.tellEnd(id, { reason: 'deleted', failed: false });
    assert.equal((await ended.closed).code, 1001);
    assert.ok(!ended.frames.some(({ type }) => type === T.sandboxError));
  });
});
