import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { SystemClock } from '../../src/domain/clock.ts';
import { isWarmpoolError } from '../../src/domain/errors.ts';
import type { SandboxRecord } from '../../src/domain/sandbox.ts';
import { packageRoot } from '../../src/package-root.ts';
import { MemoryPoolStore } from '../../src/store/memory/memory-pool-store.ts';
import { alice, bob, never, plain, startCore } from '../support/core.ts';
import { FakeRuntime } from '../support/fake-runtime.ts';
import { JournalFolder } from '../support/temporary-journal.ts';
import { until } from '../support/until.ts';

type Core = Awaited<ReturnType<typeof startCore>>;

function hasCode(code: string) {
  return (error: unknown) => isWarmpoolError(error) && error.code === code;
}

async function claimed(core: Core): Promise<SandboxRecord> {
  await core.until('base', ({ ready }) => ready > 0);
  return (await core.allocator.createSandbox(alice, plain, never)).record;
}

function run(core: Core, sandboxId: string, principal = alice) {
  const request = { sandboxId, argv: ['true'], env: {}, stdin: new Uint8Array() };
  return core.allocator.exec(principal, request, never);
}

/** The same sandbox as a store gives it out that has forgotten the first claim. */
function givenAgain(record: SandboxRecord, claimId = 'a-second-claim'): SandboxRecord {
  return record.claim ? { ...record, claim: { ...record.claim, tenant: 'bob', claimId } } : record;
}

test('D7 a claim binds its sandbox with its first session or command, and not before', async () => {
  await using core = await startCore();
  const [one, other] = [await claimed(core), await claimed(core)];
  assert.deepEqual(core.journal.all(), []);
  (await core.allocator.openSession(alice, one.id)).close();
  await run(core, other.id);
  assert.deepEqual(
    core.journal.all().map(({ id, incarnation, claim }) => [id, incarnation, claim.claimId]),
    [one, other].map(({ id, incarnation, claim }) => [id, incarnation, claim?.claimId]),
  );
  await run(core, one.id);
  assert.equal(core.journal.all().length, 2);
  // With the object goes the binding.
  await core.allocator.deleteSandbox(alice, one.id, never);
  assert.equal(core.journal.of(one.id), null);
});

test('D7 D8 I9 the node refuses another claim, an older incarnation and another node’s sandbox, and counts it', async () => {
  await using core = await startCore();
  const record = await claimed(core);
  await run(core, record.id);
  const { guests } = core.runtime;
  const commands = guests.get(record.id)?.commands.length;
  assert.throws(() => core.node.guest(givenAgain(record)), hasCode('CLAIM_CONFLICT'));
  assert.throws(() => core.node.guest({ ...record, incarnation: 1 }), hasCode('CLAIM_CONFLICT'));
  assert.equal(core.node.guest({ ...record, nodeId: 'node-b' }), null);
  assert.notEqual(core.node.guest(record), null);
  assert.equal(guests.get(record.id)?.commands.length, commands);
  assert.match(await core.observer.expose(), /^warmpool_claim_conflicts_total 2$/m);
});

test('I3 I10 the end of a claim that the store gave out by mistake ends nothing', async () => {
  await using core = await startCore();
  const record = await claimed(core);
  await run(core, record.id);
  await core.node.remove({ ...givenAgain(record), state: 'stopping' });
  assert.ok(core.runtime.objects.get(record.id)?.running);
  assert.equal((await run(core, record.id)).exitCode, 0);
  assert.equal(await core.node.vouch(record.id, bob.tenant), false);
  assert.equal(await core.node.vouch(record.id, alice.tenant), true);
});

test('D7 D9 whoever has used a sandbox opens it by its claim, also when the store has given it to the same tenant again', async () => {
  await using core = await startCore();
  const record = await claimed(core);
  await run(core, record.id);
  const bound = core.journal.of(record.id);
  assert.ok(bound);
  await core.store.registerBound({ ...bound, claim: { ...bound.claim, claimId: 'second' } });
  const grant = (claimId: string) => ({ ...alice, claimId });
  (await core.allocator.openSession(grant(bound.claim.claimId), record.id)).close();
  assert.equal((await core.store.get(record.id, 'alice'))?.claim?.claimId, bound.claim.claimId);
  await assert.rejects(core.allocator.openSession(grant('second'), record.id), hasCode('PERMISSION_DENIED'));
});

test('I10 the event of such an end ends nothing while the link is being made anew', async () => {
  const runtime = new FakeRuntime({ survivesNode: true });
  await using core = await startCore({ runtime });
  const record = await claimed(core);
  await run(core, record.id);
  const bound = core.journal.of(record.id);
  assert.ok(bound);
  const adopt = runtime.adopt.bind(runtime);
  const waiting: (() => void)[] = [];
  const letIn = () => {
    for (const go of waiting) go();
  };
  // Also when the test fails: a node waits for its links before it ends.
  using _ = { [Symbol.dispose]: letIn };
  runtime.adopt = async (id) => {
    await new Promise<void>((resolve) => waiting.push(resolve));
    return adopt(id);
  };
  runtime.guests.get(record.id)?.cut('the engine was restarted');
  await until(() => waiting.length > 0, 'the new link to be asked for');
  await core.store.registerBound({ ...bound, claim: { ...bound.claim, tenant: 'bob', claimId: 'second' } });
  await core.store.beginStop({ id: record.id, tenant: 'bob' }, 'deleted');
  const told = async () => (await core.store.get(record.id, 'alice'))?.state === 'running';
  await until(async () => {
    assert.ok(runtime.objects.get(record.id)?.running, 'it lives');
    return told();
  }, 'the store being told whose it is');
  letIn();
  await until(() => core.node.guest(record) !== null, 'the new link');
  assert.equal((await run(core, record.id)).exitCode, 0);
});

test('D7 D10 what cannot be written down is not let in', async () => {
  await using core = await startCore();
  const [before, after] = [await claimed(core), await claimed(core)];
  await run(core, before.id);
  const booted = core.runtime.guests.get(after.id)?.commands.length;
  await core.journal[Symbol.asyncDispose]();
  await assert.rejects(core.allocator.openSession(alice, after.id), hasCode('RUNTIME_UNAVAILABLE'));
  await assert.rejects(run(core, after.id), hasCode('RUNTIME_UNAVAILABLE'));
  assert.equal(core.runtime.guests.get(after.id)?.commands.length, booted);
  assert.equal(core.journal.of(after.id), null);
  assert.equal((await run(core, before.id)).exitCode, 0);
});

/** A node that is killed at the very moment when a use is let in: by the first thing that reaches the guest. */
const killedAtFirstUse = `
import { alice, never, plain, startCore } from './test/support/core.ts';
const core = await startCore({ journalPath: process.env.JOURNAL });
await core.until('base', ({ ready }) => ready > 0);
const { record } = await core.allocator.createSandbox(alice, plain, never);
const guest = core.runtime.guests.get(record.id);
guest.spawn = () => process.kill(process.pid, 'SIGKILL');
process.stdout.write(record.id + ' ' + record.claim.claimId + '\\n');
const request = { sandboxId: record.id, argv: ['true'], env: {}, stdin: new Uint8Array() };
await core.allocator.exec(alice, request, never);
`;

test('T6 M14 a node that is killed as it lets the first use in has written it down before', async () => {
  using folder = new JournalFolder();
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', killedAtFirstUse], {
    cwd: packageRoot(),
    env: { ...process.env, JOURNAL: folder.file },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const output: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => output.push(chunk));
  const [, signal] = await once(child, 'close');
  assert.equal(signal, 'SIGKILL');
  const [id = '', claimId] = Buffer.concat(output).toString().trim().split(' ');
  // Torn by whatever else was about to be written.
  appendFileSync(folder.file, readFileSync(folder.file).subarray(0, 40));
  const journal = folder.open();
  assert.equal(journal.of(id)?.claim.claimId, claimId);
  await journal[Symbol.asyncDispose]();
});

test('D16 an adopted sandbox keeps its binding over a restart of its node', async () => {
  using folder = new JournalFolder();
  const runtime = new FakeRuntime({ survivesNode: true });
  /** Two runs of one node over one store, which does not end with them. */
  class OutlivingStore extends MemoryPoolStore {
    override readonly storeId = 'outlives';
  }
  const store = new OutlivingStore({ clock: new SystemClock() });
  let record: SandboxRecord;
  {
    await using first = await startCore({ store, runtime, journalPath: folder.file });
    record = await claimed(first);
    await run(first, record.id);
  }
  assert.ok(runtime.objects.get(record.id)?.running);
  await using second = await startCore({ store, runtime, journalPath: folder.file });
  await until(() => second.node.guest(record) !== null, 'the adoption');
  assert.throws(() => second.node.guest(givenAgain(record)), hasCode('CLAIM_CONFLICT'));
  assert.equal((await run(second, record.id)).exitCode, 0);
});
