import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { WebSocket } from 'ws';
import { encodeFrame } from '../../protocol/frame.ts';
import { messageTypes as type } from '../../protocol/message-types.ts';
import { Metrics } from '../../src/observability/metrics.ts';
import { liveMemoryBytes } from '../guest-link/live-memory.ts';
import { FakeSession } from '../support/fake-session.ts';
import { until } from '../support/until.ts';
import { within } from '../support/within.ts';
import { execStart, SessionFixture } from './session-fixture.ts';

const start = encodeFrame({ type: type.ExecStart.code, channel: 1, id: 1, payload: execStart(['true']) });

test('R4 10,000 clients that come and go, every other one without a word, leave nothing behind', async () => {
  const metrics = new Metrics([]);
  await using fixture = await SessionFixture.start({
    observer: metrics.dataPlane,
    openSession: () => {
      // What the fixture remembers for tests that look back would be what grows here.
      fixture.sessions.length = 0;
      fixture.grants.length = 0;
      fixture.guest.channels.length = 0;
      return new Counted(fixture.record, fixture.guest);
    },
  });
  let open = 0;
  class Counted extends FakeSession {
    constructor(...given: ConstructorParameters<typeof FakeSession>) {
      super(...given);
      open += 1;
    }
    override close(): void {
      if (!this.closed) open -= 1;
      super.close();
    }
  }
  const headers = { authorization: `Bearer ${fixture.tokenFor()}` };
  const visit = async (index: number): Promise<void> => {
    const client = new WebSocket(fixture.url, ['warmpool.v1'], { headers, perMessageDeflate: false });
    client.on('error', () => {});
    const closed = new Promise((resolve) => client.on('close', resolve));
    await within(once(client, 'message'), () => `Ready for visitor ${index}`);
    client.send(start);
    if (index % 2 === 0) client.terminate();
    else client.close(1000);
    await within(closed, () => `the close of visitor ${index}`);
  };
  const visits = async (count: number): Promise<void> => {
    let next = 0;
    const visitor = async (): Promise<void> => {
      while (next < count) {
        next += 1;
        await visit(next);
      }
    };
    await Promise.all(Array.from({ length: 16 }, visitor));
    await until(() => open === 0, 'every session to be closed');
  };
  await visits(500);
  const before = { bytes: liveMemoryBytes(), descriptors: descriptors() };
  await visits(9_500);
  const grownBytes = liveMemoryBytes() - before.bytes;
  assert.ok(grownBytes < 4_000_000, `${grownBytes} bytes more than before 9,500 visits`);
  await until(() => descriptors() <= before.descriptors + 2, 'the descriptors to be closed');
  const text = await metrics.expose();
  assert.match(text, /^warmpool_data_connections 0$/m);
  assert.match(text, /^warmpool_data_channels\{use="exec"\} 0$/m);
  assert.match(text, /^warmpool_data_upgrades_total\{outcome="accepted"\} 10000$/m);
});

function descriptors(): number {
  return readdirSync('/proc/self/fd').length;
}
