import assert from 'node:assert/strict';
import { test } from 'node:test';
import { messageTypes as type } from '../../protocol/message-types.ts';
import { parseLeaseNotice, parseRenewedToken } from '../../protocol/session-messages.ts';
import { ManualClock } from '../guest-link/manual-clock.ts';
import { FakeSession } from '../support/fake-session.ts';
import { until } from '../support/until.ts';
import { codeOf, echo, exited, settled, started } from './frames.ts';
import type { RawClient } from './raw-client.ts';
import { map, SessionFixture } from './session-fixture.ts';

test('3.3 use extends the lease, looking does not', async () => {
  await using fixture = await SessionFixture.start();
  using client = await fixture.connect();
  const uses = (): number => fixture.sessions[0]?.uses ?? 0;
  const looks: readonly (readonly [number, Uint8Array])[] = [
    [type.FileStat.code, map({ path: '/' })],
    [type.FileList.code, map({ path: '/' })],
    [type.FileWatch.code, map({ path: '/' })],
    [type.PortWatch.code, map({})],
  ];
  for (const [index, [code, payload]] of looks.entries()) {
    client.send(code, index + 1, 1, payload);
    const channel = await fixture.guest.channel(index);
    if (code !== type.FileStat.code) {
      channel.ack();
      channel.emit(type.Output.code, Buffer.from('record'));
    }
  }
  for (const code of [type.PortList, type.ExecList, type.Stats]) client.send(code.code, 0, 1, map({}));
  await settled(client);
  assert.equal(uses(), 0);
  client.send(type.ExecStart.code, 50, 1, echo);
  const process = await fixture.guest.channel(4);
  assert.equal(uses(), 1);
  process.ack(started);
  process.emit(type.Output.code, Buffer.from('x'));
  assert.equal(uses(), 2);
  await client.on(50);
  client.send(type.Input.code, 50, 0, Buffer.from('x'));
  await settled(client);
  assert.equal(uses(), 3);
});

test('A2 a token is renewed in-band with no more than it had, and a socket whose token ran out closes with 4401', async () => {
  const clock = new ManualClock();
  clock.advance(1_000_000);
  await using fixture = await SessionFixture.start({ clock });
  using client = await fixture.connect({ token: fixture.tokenFor(['files']) });
  clock.advance(600_000);
  client.send(type.TokenRenew.code, 0, 1, map({}));
  const renewed = parseRenewedToken((await client.next(({ id }) => id === 1)).payload);
  if ('error' in renewed) assert.fail(renewed.error);
  assert.equal(renewed.value.expiresInMs, 900_000);
  const claims = fixture.tokens.verify(renewed.value.token);
  assert.deepEqual(
    [claims?.tenant, claims?.claimId, [...(claims?.scopes ?? [])]],
    ['alice', fixture.record.claim?.claimId, ['files']],
  );
  // Past the first token's end, within the second's.
  clock.advance(600_000);
  await settled(client);
  clock.advance(300_000);
  assert.equal((await client.closed).code, 4401);
  assert.equal(fixture.sessions[0]?.closed, true);
});

test('the lease is said to expire once, to be renewed after that, and to end before the close', async () => {
  const clock = new ManualClock();
  clock.advance(1_000_000);
  const lease = { remainingMs: 100_000, ttlMs: 100_000, endOfLifeMs: 500_000 };
  const startMs = clock.monotonicMs();
  class Leased extends FakeSession {
    expiresMs = startMs + lease.remainingMs;
    override lease() {
      return { ...lease, remainingMs: this.expiresMs - clock.monotonicMs() };
    }
  }
  await using fixture = await SessionFixture.start({
    clock,
    openSession: () => new Leased(fixture.record, fixture.guest),
  });
  using client = await fixture.connect();
  const session = fixture.sessions[0] as Leased;
  const notices = (): unknown[] =>
    client.frames
      .filter((frame) => frame.type === type.LeaseNotice.code)
      .map((frame) => parseLeaseNotice(frame.payload))
      .map((notice) => ('value' in notice ? notice.value : notice));
  clock.advance(79_000);
  await settled(client);
  assert.deepEqual(notices(), []);
  clock.advance(1_000);
  await settled(client);
  clock.advance(1_000);
  await settled(client);
  assert.deepEqual(notices(), [{ kind: 'expiring', lease: { ...lease, remainingMs: 20_000 } }]);
  session.expiresMs += 81_000;
  for (const listener of session.listeners) listener.onLease(session.lease());
  await settled(client);
  assert.deepEqual(notices().at(-1), { kind: 'renewed', lease });
  // A renewal that nobody was warned before is not worth a word; the next end of the lease is.
  for (const listener of session.listeners) listener.onLease(session.lease());
  clock.advance(80_000);
  await settled(client);
  assert.deepEqual(
    notices().map((notice) => Object(notice).kind),
    ['expiring', 'renewed', 'expiring'],
  );
  for (const listener of session.listeners) listener.onEnd({ reason: 'lease_expired', failed: false });
  const { code, reason } = await client.closed;
  assert.deepEqual([code, reason], [1001, 'lease_expired']);
  assert.deepEqual(notices().at(-1), { kind: 'ending', reason: 'lease_expired' });
});

test('the end of a sandbox that failed is 1011', async () => {
  await using fixture = await SessionFixture.start();
  using client = await fixture.connect();
  client.send(type.ExecStart.code, 1, 1, echo);
  const channel = await fixture.guest.channel(0);
  channel.lose();
  for (const listener of fixture.sessions[0]?.listeners ?? [])
    listener.onEnd({ reason: 'link_lost', failed: true });
  assert.equal((await client.closed).code, 1011);
});

test('I13 a client that is lost abandons every channel it had, and its session', async () => {
  await using fixture = await SessionFixture.start();
  for (const leave of [
    (client: RawClient) => client.ws.close(1000),
    (client: RawClient) => client.ws.terminate(),
  ]) {
    const before = fixture.guest.channels.length;
    using client = await fixture.connect();
    for (let number = 1; number <= 20; number += 1) client.send(type.ExecStart.code, number, 1, echo);
    await fixture.guest.channel(before + 19);
    leave(client);
    const mine = fixture.guest.channels.slice(before);
    await until(() => mine.every(({ isClosed }) => isClosed), 'all channels to be closed');
    await until(() => fixture.sessions.at(-1)?.closed === true, 'the session to be closed');
    // What the guest still says has nobody to go to.
    for (const channel of mine) channel.emit(type.Output.code, Buffer.from('late'));
  }
});

test('D19 a drain opens nothing new, lets channels end, and then closes with 1001', async () => {
  const clock = new ManualClock();
  clock.advance(1_000_000);
  await using fixture = await SessionFixture.start({ clock });
  using idle = await fixture.connect();
  using busy = await fixture.connect();
  using stubborn = await fixture.connect();
  busy.send(type.ExecStart.code, 1, 1, echo);
  const channel = await fixture.guest.channel(0);
  channel.ack(started);
  stubborn.send(type.ExecStart.code, 1, 1, echo);
  await fixture.guest.channel(1);
  const drained = fixture.plane.drain(400);
  assert.deepEqual(await idle.closed, { code: 1001, reason: 'node_drained' });
  busy.send(type.ExecStart.code, 2, 2, echo);
  assert.equal(codeOf(await busy.on(2)), 'not_ready');
  channel.emit(type.ExecExit.code, exited);
  assert.equal((await busy.closed).code, 1001);
  assert.ok(busy.frames.some((frame) => frame.type === type.ExecExit.code));
  const notice = busy.frames.find((frame) => frame.type === type.LeaseNotice.code);
  assert.deepEqual(notice && parseLeaseNotice(notice.payload), {
    value: { kind: 'ending', reason: 'node_drained' },
  });
  await settled(stubborn);
  clock.advance(400);
  assert.equal((await stubborn.closed).code, 1001);
  await drained;
});
