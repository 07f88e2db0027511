import assert from 'node:assert/strict';
import { appendFileSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { isWarmpoolError } from '../../src/domain/errors.ts';
import { newSandboxId } from '../../src/domain/ids.ts';
import type { SandboxRecord } from '../../src/domain/sandbox.ts';
import { JournalFile } from '../../src/node/journal-file.ts';
import { SilentLog } from '../support/silent-log.ts';
import { JournalFolder } from '../support/temporary-journal.ts';

class ManualClock {
  monotonic = 50_000;
  wall = 1_700_000_000_000;
  monotonicMs = () => this.monotonic;
  wallMs = () => this.wall;
  after = () => () => {};
}

function running(
  change: { id?: string; claimId?: string; incarnation?: number; leftMs?: number } = {},
): SandboxRecord {
  const { id = newSandboxId(0), claimId = 'claim-a', incarnation = 2, leftMs = 240_000 } = change;
  return {
    ...{
      id,
      pool: 'base',
      specVersion: 'v1',
      state: 'running',
      launch: 'warm',
      nodeId: 'node-a',
      incarnation,
    },
    createdAtMs: 1_000,
    readyAtMs: 2_000,
    claim: {
      ...{ tenant: 'alice', claimId, claimedAtMs: 3_000 },
      customisation: { env: { KEY: 'value' }, metadata: { of: 'alice' }, user: 'root' },
    },
    lease: {
      ...{ expiresAtMs: 3_000 + leftMs, remainingMs: leftMs, ttlMs: 300_000, onExpiry: 'kill' },
      endOfLifeMs: 3_000 + 3_600_000,
    },
  };
}

const isConflict = (error: unknown) => isWarmpoolError(error) && error.code === 'CLAIM_CONFLICT';

test('D7 the first claim has it: the same one again is fine, another one is refused and counted', () => {
  using folder = new JournalFolder();
  let conflicts = 0;
  const journal = folder.open({ observer: { claimConflict: () => (conflicts += 1) } });
  const record = running();
  assert.equal(journal.of(record.id), null);
  assert.ok(journal.agrees(record));
  journal.bind(record);
  const bytes = statSync(folder.file).size;
  journal.bind(record);
  journal.bind({ ...record });
  assert.equal(statSync(folder.file).size, bytes, 'one line for each binding');
  const { id } = record;
  assert.throws(() => journal.bind(running({ id, claimId: 'claim-b' })), isConflict);
  assert.throws(() => journal.bind(running({ id, claimId: 'claim-b', incarnation: 9 })), isConflict);
  assert.equal(conflicts, 2);
  assert.equal(journal.of(id)?.claim.claimId, 'claim-a');
  assert.ok(!journal.agrees(running({ id, claimId: 'claim-b' })));
});

test('D8 I9 an incarnation below the journal’s is refused, one above is taken', () => {
  using folder = new JournalFolder();
  const journal = folder.open();
  const record = running({ incarnation: 3 });
  journal.bind(record);
  assert.throws(() => journal.bind({ ...record, incarnation: 2 }), isConflict);
  journal.bind({ ...record, incarnation: 4 });
  assert.throws(() => journal.bind(record), isConflict);
  assert.equal(folder.open().of(record.id)?.incarnation, 4);
});

test('D10 D16 the next run of the node knows every binding, with what the claim customised', () => {
  using folder = new JournalFolder();
  const clock = new ManualClock();
  const first = folder.open({ clock });
  const [kept, ended] = [running(), running()];
  first.bind(kept);
  first.bind(ended);
  first.forget(ended.id);
  clock.wall += 600_000;
  const second = folder.open({ clock });
  assert.equal(second.of(ended.id), null);
  const bound = second.of(kept.id);
  assert.deepEqual(bound?.claim, kept.claim);
  const { pool, specVersion, launch, nodeId, incarnation, createdAtMs, readyAtMs } = kept;
  assert.deepEqual(
    { ...bound },
    {
      ...{ id: kept.id, pool, specVersion, launch, nodeId, incarnation, createdAtMs, readyAtMs },
      ...{ claim: kept.claim, leaseTtlMs: 300_000, onExpiry: 'kill' },
      // A full term: nobody knows what the owner did since. Life is counted by this host's own clock.
      ...{ leaseLeftMs: 300_000, lifeLeftMs: 3_600_000 - 600_000 },
    },
  );
  assert.throws(() => second.bind(running({ id: kept.id, claimId: 'claim-b' })), isConflict);
});

test('D3 what is left of a lease is the store’s last word, counted down by the monotonic clock', () => {
  using folder = new JournalFolder();
  const clock = new ManualClock();
  const journal = folder.open({ clock });
  const record = running({ leftMs: 240_000 });
  journal.bind(record);
  clock.monotonic += 40_000;
  // A jump of the wall clock means nothing.
  clock.wall += 1_000_000_000;
  assert.deepEqual(
    [journal.of(record.id)?.leaseLeftMs, journal.of(record.id)?.lifeLeftMs],
    [200_000, 3_560_000],
  );
  journal.leaseSeen(running({ id: record.id, leftMs: 300_000 }));
  assert.equal(journal.of(record.id)?.leaseLeftMs, 300_000);
  journal.leaseSeen(running({ id: record.id, claimId: 'claim-b', leftMs: 1 }));
  assert.equal(journal.of(record.id)?.leaseLeftMs, 300_000);
  // A renewal that only the store heard of may be seconds old.
  clock.monotonic += 400_000;
  assert.equal(journal.of(record.id)?.leaseLeftMs, 15_000);
});

test('D10 a torn tail loses the use that was never let in, a damaged line is told of', () => {
  using folder = new JournalFolder();
  const [one, two, three] = [running(), running(), running()];
  const first = folder.open();
  for (const record of [one, two, three]) first.bind(record);
  const whole = readFileSync(folder.file);
  writeFileSync(folder.file, whole.subarray(0, whole.length - 5));
  const log = new SilentLog();
  const torn = folder.open({ log });
  assert.deepEqual(
    [one, two, three].map(({ id }) => torn.of(id) !== null),
    [true, true, false],
  );
  assert.equal(log.lines.filter(({ message }) => /torn end/.test(message)).length, 1);

  const bytes = Buffer.from(whole);
  bytes.writeUInt8(0x21, bytes.indexOf(two.id));
  writeFileSync(folder.file, bytes);
  const damaged = folder.open({ log });
  assert.deepEqual(
    [one, two, three].map(({ id }) => damaged.of(id) !== null),
    [true, false, true],
  );
  assert.equal(
    log.lines.filter(({ level, message }) => level === 'error' && /damaged/.test(message)).length,
    1,
  );
  // It was written anew without the damage.
  const quiet = new SilentLog();
  folder.open({ log: quiet });
  assert.deepEqual(quiet.lines, []);
});

test('D10 garbage in the place of a journal is no journal, and what follows is kept', () => {
  using folder = new JournalFolder();
  writeFileSync(folder.file, Buffer.from(Array.from({ length: 5_000 }, (_, index) => (index * 7919) & 0xff)));
  const journal = folder.open();
  assert.deepEqual(journal.all(), []);
  const record = running();
  journal.bind(record);
  assert.equal(folder.open().of(record.id)?.claim.claimId, 'claim-a');
});

test('D10 a journal of another version is not misread', () => {
  using folder = new JournalFolder();
  const { file } = JournalFile.open(folder.file);
  file.append(JSON.stringify({ v: 99, bind: {} }));
  file[Symbol.dispose]();
  assert.throws(() => folder.open(), /another version of warmpool \(99; this one knows 1\)/);
});

test('D10 the journal stays as short as what is alive, however many come and go', () => {
  using folder = new JournalFolder();
  const journal = folder.open();
  const alive = Array.from({ length: 20 }, () => running());
  for (const record of alive) journal.bind(record);
  const liveBytes = statSync(folder.file).size;
  for (let count = 0; count < 2_000; count += 1) {
    const record = running();
    journal.bind(record);
    journal.forget(record.id);
    assert.ok(statSync(folder.file).size < liveBytes + 70_000);
  }
  const again = folder.open();
  assert.deepEqual(
    again.all().map(({ id }) => id),
    alive.map(({ id }) => id),
  );
  assert.equal(statSync(folder.file).size, liveBytes);
});

test('D7 a use whose binding cannot be written is refused, and nothing is bound', async () => {
  using folder = new JournalFolder();
  const log = new SilentLog();
  const journal = folder.open({ log });
  const [before, after] = [running(), running()];
  journal.bind(before);
  await journal[Symbol.asyncDispose]();
  assert.throws(
    () => journal.bind(after),
    (error) =>
      isWarmpoolError(error) &&
      error.code === 'RUNTIME_UNAVAILABLE' &&
      error.details.retryAfterMs === 1_000 &&
      /could not write down/.test(error.message),
  );
  assert.equal(journal.of(after.id), null);
  // What was bound before needs no writing.
  journal.bind(before);
  assert.equal(folder.open().of(after.id), null);
});

test('I1 over any history of uses, ends and restarts no sandbox is bound to two claims', () => {
  const use = fc.record({
    sandbox: fc.nat(3),
    claim: fc.nat(2),
    incarnation: fc.integer({ min: 1, max: 3 }),
  });
  const step = fc.oneof(
    { weight: 6, arbitrary: use },
    { weight: 1, arbitrary: fc.constant('restart' as const) },
    { weight: 1, arbitrary: fc.constant('torn' as const) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      using folder = new JournalFolder();
      const ids = Array.from({ length: 4 }, () => newSandboxId(0));
      const owners = new Map<string, string>();
      let journal = folder.open();
      for (const one of steps) {
        if (typeof one === 'string') {
          if (one === 'torn') appendFileSync(folder.file, '57 0123456789abcdef {"v":1,');
          journal = folder.open();
          continue;
        }
        const record = running({ ...one, id: ids[one.sandbox] ?? '', claimId: `claim-${one.claim}` });
        try {
          journal.bind(record);
        } catch (error) {
          assert.ok(isConflict(error));
          continue;
        }
        const owner = owners.get(record.id) ?? record.claim?.claimId ?? '';
        assert.equal(record.claim?.claimId, owner);
        owners.set(record.id, owner);
      }
    }),
    { numRuns: 100 },
  );
});

test('D12 a look at a store whose clock has jumped takes nothing of what is left by the node’s own timer', () => {
  using folder = new JournalFolder();
  const clock = new ManualClock();
  const record = running({ leftMs: 60_000 });
  const { lease, ...rest } = record;
  assert.ok(lease);
  const journal = folder.open({ clock });
  journal.bind(record);
  clock.monotonic += 10_000;
  journal.leaseSeen({ ...record, lease: { ...lease, remainingMs: 5_000 } });
  const { expiresAtMs: expiredAtMs } = lease;
  assert.equal(
    journal.timerLeftMs({ ...rest, state: 'stopping', endReason: 'lease_expired', expiredAtMs }),
    50_000,
  );
  // What the owner has shortened is as short as the store says.
  journal.leaseSeen({ ...record, lease: { ...lease, remainingMs: 5_000, expiresAtMs: expiredAtMs - 1 } });
  assert.equal(
    journal.timerLeftMs({
      ...rest,
      ...{ state: 'stopping', endReason: 'lease_expired', expiredAtMs: expiredAtMs - 1 },
    }),
    5_000,
  );
});

test('D12 a lease goes on by the node’s own timer, unless it was shortened or nothing was seen of it in this run', () => {
  using folder = new JournalFolder();
  const clock = new ManualClock();
  const record = running({ leftMs: 60_000 });
  const expired = (expiredAtMs: number): SandboxRecord => {
    const { lease: _, ...rest } = record;
    return { ...rest, state: 'stopping', endReason: 'lease_expired', expiredAtMs };
  };
  const seenEndMs = record.lease?.expiresAtMs ?? 0;
  const journal = folder.open({ clock });
  assert.equal(journal.timerLeftMs(expired(seenEndMs)), 0);
  journal.bind(record);
  clock.monotonic += 10_000;
  assert.equal(journal.timerLeftMs(expired(seenEndMs)), 50_000);
  // Renewed since it was looked at: what was seen is the least that is left. Shortened: it says nothing.
  assert.equal(journal.timerLeftMs(expired(seenEndMs + 60_000)), 50_000);
  assert.equal(journal.timerLeftMs(expired(seenEndMs - 1)), 0);
  assert.equal(journal.timerLeftMs({ ...expired(seenEndMs), state: 'failed' }), 0);
  // A look is late by a moment: what ends in time is not held.
  clock.monotonic += 49_000;
  assert.equal(journal.timerLeftMs(expired(seenEndMs)), 0);
  const later = folder.open({ clock });
  assert.equal(later.timerLeftMs(expired(seenEndMs)), 0);
});
