import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';
import { ManualClock } from '../guest-link/manual-clock.ts';
import { bubblewrapAsRoot } from '../support/bubblewrap-sandboxes.ts';
import { BubblewrapStand } from './bubblewrap-stand.ts';
import { refusedUpgrade, XgenClient } from './xgen-client.ts';

/** Of any tenant; the stand asks nobody whose a sandbox is. */
const caller = {
  tenant: 'acme',
  subject: 'somebody',
  role: 'user',
  scopes: new Set(['exec'] as const),
} as const;
const keys = [{ tenant: 'acme', sha256: '0'.repeat(64), scopes: ['exec'] }];

describe('xgen sockets as time passes', { skip: (await bubblewrapAsRoot()).skip }, () => {
  const clock = new ManualClock();
  let stand: BubblewrapStand;
  let url: string;
  before(async () => {
    stand = await BubblewrapStand.start({ clock, keys });
    url = stand.url(await stand.boot());
  });
  after(() => stand[Symbol.asyncDispose]());
  const withToken = () => `${url}?token=${stand.tokens.issue(caller).token}`;

  it('7.2 every 20 s there is a ping; who answers stays, who has not answered two is cut', async () => {
    using answering = await XgenClient.connect(withToken());
    using silent = await XgenClient.connect(withToken(), { autoPong: false });
    for (let count = 0; count < 2; count++) {
      const pinged = [answering, silent].map(({ socket }) => once(socket, 'ping'));
      clock.advance(19_999);
      await answering.roundTrip();
      clock.advance(1);
      await Promise.all(pinged);
      // Its pong has gone out before this, on the same socket.
      await answering.roundTrip();
    }
    const third = once(answering.socket, 'ping');
    clock.advance(20_000);
    assert.equal((await silent.closed).code, 1006);
    await third;
    assert.equal((await answering.exec(5, 'true')).exitCode, 0);
  });

  it('2. a token opens no socket after its 900 s, and one that is open stays open', async () => {
    const token = withToken();
    using client = await XgenClient.connect(token);
    clock.advance(899_999);
    using second = await XgenClient.connect(token);
    clock.advance(1);
    for (const [at, headers] of [
      [token, {}],
      [url, { authorization: `Bearer ${token.split('=')[1]}` }],
    ] as const) {
      const refused = await refusedUpgrade(at, { headers });
      assert.deepEqual(
        [refused.status, refused.body],
        [401, { error: 'token expired', code: 'UNAUTHORIZED' }],
      );
    }
    for (const open of [client, second]) assert.equal((await open.exec(5, 'true')).exitCode, 0);
  });
});
