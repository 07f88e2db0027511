import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SandboxSession, SessionLease } from '../../src/allocator/api.ts';
import { Sessions } from '../../src/allocator/session.ts';
import { SystemClock } from '../../src/domain/clock.ts';
import { isWarmpoolError } from '../../src/domain/errors.ts';
import type { SandboxRecord } from '../../src/domain/sandbox.ts';
import type { PoolStore } from '../../src/store/pool-store.ts';
import { alice, bob, never, plain, poolSpec, startCore } from '../support/core.ts';
import { until } from '../support/until.ts';

/** What a session is told, and when it ended. */
function listen(session: SandboxSession) {
  const leases: SessionLease[] = [];
  const ends: { reason: string; failed: boolean }[] = [];
  session.watch({ onLease: (lease) => leases.push(lease), onEnd: (end) => ends.push({ ...end }) });
  return { leases, ends };
}

function hasCode(code: string) {
  return (error: unknown) => isWarmpoolError(error) && error.code === code;
}

async function claimed(
  core: Awaited<ReturnType<typeof startCore>>,
  more: object = {},
): Promise<SandboxRecord> {
  await core.until('base', ({ ready }) => ready > 0);
  return (await core.allocator.createSandbox(alice, { ...plain, ...more }, never)).record;
}

test('D11 a session is for the tenant and the claim that it was given out for', async () => {
  await using core = await startCore();
  const record = await claimed(core);
  const { allocator } = core;
  const session = await allocator.openSession({ ...alice, claimId: record.claim?.claimId ?? '' }, record.id);
  assert.equal(session.record.id, record.id);
  session.close();
  await assert.rejects(allocator.openSession(bob, record.id), hasCode('SANDBOX_NOT_FOUND'));
  await assert.rejects(allocator.openSession(alice, 'no-such-id'), hasCode('SANDBOX_NOT_FOUND'));
  await assert.rejects(
    allocator.openSession({ ...alice, claimId: 'another' }, record.id),
    hasCode('PERMISSION_DENIED'),
  );
  await allocator.deleteSandbox(alice, record.id, never);
  await assert.rejects(allocator.openSession(alice, record.id), hasCode('SANDBOX_NOT_FOUND'));
});

test('what a request leaves open is the claim’s, else the template’s', async () => {
  await using core = await startCore();
  const record = await claimed(core, { env: { SHARED: 'claim', FROM_CLAIM: 'claim' }, cwd: '/srv' });
  const session = await core.allocator.openSession(alice, record.id);
  const start = session.completeExec({ env: { FROM_REQUEST: 'request' }, user: 'root' });
  assert.equal(start.cwd, '/srv');
  assert.equal(start.user, 'root');
  const { SHARED, FROM_TEMPLATE, FROM_CLAIM, FROM_REQUEST } = start.env;
  assert.deepEqual(
    [SHARED, FROM_TEMPLATE, FROM_CLAIM, FROM_REQUEST],
    ['claim', 'template', 'claim', 'request'],
  );
  assert.deepEqual(session.completeFiles({}), { user: 'user', cwd: '/srv' });
  assert.deepEqual(session.completeFiles({ cwd: '/' }), { user: 'user', cwd: '/' });
  session.close();
});

test('all sessions of a sandbox hear of a renewal by whoever, and of its end, once', async () => {
  await using core = await startCore();
  const record = await claimed(core);
  const { allocator } = core;
  const sessions = [
    await allocator.openSession(alice, record.id),
    await allocator.openSession(alice, record.id),
  ];
  const [one, other] = sessions.map(listen);
  const closed = await allocator.openSession(alice, record.id);
  const silent = listen(closed);
  closed.close();
  await allocator.keepAlive(alice, record.id, 600_000);
  for (const told of [one, other]) assert.ok((told?.leases[0]?.remainingMs ?? 0) > 599_000);
  const lease = await sessions[0]?.keepAlive(900_000);
  assert.ok((lease?.remainingMs ?? 0) > 899_000);
  assert.ok((other?.leases[1]?.remainingMs ?? 0) > 899_000);
  await assert.rejects(sessions[0]?.keepAlive(1) ?? Promise.resolve(), hasCode('INVALID_REQUEST'));

  await allocator.deleteSandbox(alice, record.id, never);
  await until(() => one?.ends.length === 1 && other?.ends.length === 1, 'both to hear of the end');
  assert.deepEqual(one?.ends, [{ reason: 'deleted', failed: false }]);
  // Whoever listens only now hears of it as well.
  const late = sessions[0] && listen(sessions[0]);
  assert.equal(late?.ends.length, 1);
  assert.deepEqual(silent, { leases: [], ends: [] });
  for (const session of sessions) session.close();
});

test('a guest whose link drops ends its sessions as failed', async () => {
  await using core = await startCore();
  const record = await claimed(core);
  const session = await core.allocator.openSession(alice, record.id);
  const { ends } = listen(session);
  core.runtime.kill(record.id);
  await until(() => ends.length === 1, 'the end');
  assert.deepEqual(ends, [{ reason: 'link_lost', failed: true }]);
  session.close();
});

/** Knows after how many milliseconds something is still to happen. */
class PlanningClock extends SystemClock {
  readonly planned = new Set<number>();

  override after(delayMs: number, callback: () => void): () => void {
    this.planned.add(delayMs);
    const cancel = super.after(delayMs, callback);
    return () => {
      this.planned.delete(delayMs);
      cancel();
    };
  }
}

/** Sessions over a real store, whose calls are counted. */
function countedSessions(core: Awaited<ReturnType<typeof startCore>>): {
  sessions: Sessions;
  calls: { get: number; renew: number };
  clock: PlanningClock;
} {
  const calls = { get: 0, renew: 0 };
  const store: Pick<PoolStore, 'get' | 'renew'> = {
    get: (...given) => {
      calls.get += 1;
      return core.store.get(...given);
    },
    renew: (...given) => {
      calls.renew += 1;
      return core.store.renew(...given);
    },
  };
  const { catalog, feed, node } = core;
  const guestOf = (record: SandboxRecord) => node.guest(record);
  const vouch = (id: string, tenant: string) => node.vouch(id, tenant);
  const clock = new PlanningClock();
  return { calls, clock, sessions: new Sessions({ store, catalog, feed, clock, guestOf, vouch }) };
}

test('3.3 use renews a lease at most once per tenth of its ttl, whichever session it is', async () => {
  await using core = await startCore({ pools: [poolSpec({ lease: { ttlMs: 10_000 } })] });
  const record = await claimed(core);
  const { sessions, calls } = countedSessions(core);
  const one = await sessions.openSession(alice, record.id);
  const other = await sessions.openSession(alice, record.id);
  const beganMs = performance.now();
  await until(() => {
    one.used();
    other.used();
    return calls.renew === 2;
  }, 'a second renewal');
  // The first came at once, so at least one tenth lies between them.
  assert.ok(performance.now() - beganMs > 900, `after ${performance.now() - beganMs} ms`);
  assert.ok(one.lease().remainingMs > 8_000 || performance.now() - beganMs > 2_000);
  one.close();
  one.used();
  other.close();
});

test('sessions do not poll: the store is asked once each, and once when a lease is about to run out', async () => {
  await using core = await startCore();
  const record = await claimed(core);
  const { sessions, calls, clock } = countedSessions(core);
  const opened = await Promise.all(Array.from({ length: 50 }, () => sessions.openSession(alice, record.id)));
  const heard = opened.map((session) => listen(session).leases);
  await opened[0]?.keepAlive(600_000);
  assert.deepEqual(
    heard.map((leases) => leases.length),
    heard.map(() => 1),
  );
  assert.deepEqual(calls, { get: 50, renew: 1 });
  // All that is left to happen by itself is one look, when the lease is about to run out.
  assert.equal(clock.planned.size, 1);
  assert.ok(
    [...clock.planned].every((delayMs) => delayMs > 60_000),
    `${[...clock.planned]}`,
  );
  for (const session of opened) session.close();
  assert.equal(clock.planned.size, 0);
});

test('a renewal by another process is found before anybody is told that the lease runs out', async () => {
  await using core = await startCore({ pools: [poolSpec({ lease: { ttlMs: 3_000 } })] });
  const record = await claimed(core);
  const { sessions, calls } = countedSessions(core);
  const session = await sessions.openSession(alice, record.id);
  const { leases } = listen(session);
  // Not through these sessions' allocator: nobody here is told.
  await core.store.renew({ id: record.id, tenant: 'alice' }, 60_000, 'extend');
  await until(() => leases.length > 0, 'the look at the store');
  assert.ok((leases[0]?.remainingMs ?? 0) > 50_000);
  assert.equal(calls.get, 2);
  session.close();
});

test('the memory of a sandbox goes with its last session', async () => {
  await using core = await startCore();
  const record = await claimed(core);
  const { sessions, calls } = countedSessions(core);
  for (let count = 0; count < 200; count += 1) (await sessions.openSession(alice, record.id)).close();
  const session = await sessions.openSession(alice, record.id);
  const { ends } = listen(session);
  core.runtime.kill(record.id);
  await until(() => ends.length === 1, 'the end');
  // One look at why, not one for each session there ever was.
  assert.equal(calls.get, 202);
  session.close();
});
