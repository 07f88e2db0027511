import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isWarmpoolError } from '../../src/domain/errors.ts';
import { grpcFixture } from '../support/grpc-fixture.ts';
import { failureOf, RawClients, streamFailure } from '../support/grpc-raw.ts';
import { until } from '../support/until.ts';

const callDeadlineMs = 150;
const { client, allocator, address, server } = await grpcFixture([], { callDeadlineMs });

test('A11 a unary call without a deadline gets one, and what it was waiting for is told', async () => {
  using raw = new RawClients(address);
  const failure = await failureOf((done) => raw.sandboxes.createSandbox({ template: 'slow' }, done));
  assert.equal(failure.status, 'DEADLINE_EXCEEDED');
  assert.equal(failure.details.reason, 'DEADLINE_EXCEEDED');
  assert.match(failure.message, /within the 0\.15 s that a call without a deadline gets/);
  await until(() => allocator.aborted.length === 1, 'the allocator saw the abort');
  assert.ok(isWarmpoolError(allocator.aborted[0]));
});

test("a client's own deadline holds, be it shorter or longer", async () => {
  const { creates, aborted } = allocator;
  const seen = creates.length - aborted.length;
  const { length } = creates;
  // On a busy machine such a deadline may pass before the call has reached the service: then another one.
  while (creates.length === length)
    await assert.rejects(client.create('slow', {}, { deadlineMs: 20 }), { code: 'DEADLINE_EXCEEDED' });
  await until(() => creates.length - aborted.length === seen, 'the allocator saw the abort');
  const startMs = performance.now();
  await assert.rejects(client.create('slow', {}, { deadlineMs: callDeadlineMs * 3 }), {
    code: 'DEADLINE_EXCEEDED',
  });
  assert.ok(performance.now() - startMs > callDeadlineMs * 2);
});

test('a cancelled call aborts its use case', async () => {
  const seen = allocator.aborted.length;
  const stop = new AbortController();
  const created = client.create('slow', {}, { signal: stop.signal, deadlineMs: 10_000 });
  const { length } = allocator.creates;
  await until(() => allocator.creates.length > length, 'the allocator was asked');
  stop.abort();
  await assert.rejects(created, { code: 'CANCELLED' });
  await until(() => allocator.aborted.length === seen + 1, 'the allocator saw the abort');
  const reason = allocator.aborted.at(-1);
  assert.ok(isWarmpoolError(reason) && reason.code === 'CANCELLED');
  await assert.rejects(client.create('slow', {}, { signal: AbortSignal.abort() }), { code: 'CANCELLED' });
});

test('Exec kills its command when the call is given up', async () => {
  const { id: sandboxId } = await client.create('base');
  const { processes } = allocator;
  const { length } = processes;
  // As above: one of them reaches the service.
  while (processes.length === length)
    await assert.rejects(client.exec({ sandboxId, argv: ['hang'] }, { deadlineMs: 30 }), {
      code: 'DEADLINE_EXCEEDED',
    });
  assert.equal((await processes[length]?.exited)?.signal, 9);
});

test('D20 an ExecStream that never says what to run ends; one that runs has no deadline', async () => {
  using raw = new RawClients(address);
  const silent = raw.commands.execStream();
  const failure = await streamFailure(silent);
  assert.equal(failure.status, 'DEADLINE_EXCEEDED');

  const { id: sandboxId } = await client.create('base');
  const session = client.execStream({ sandboxId, argv: ['trap'] }, () => {});
  await session.started;
  // A deadline of a call that began after it passes first.
  await assert.rejects(client.create('slow'), { code: 'DEADLINE_EXCEEDED' });
  session.signal(15);
  assert.equal((await session.exited).exitCode, 3);
});

test('nothing is left in progress', async () => {
  await until(() => server.activeCalls === 0, 'every call is over');
});
