import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import {
  chmodSync,
  linkSync,
  lstatSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parseFileEntry } from '../../protocol/file-answers.ts';
import { parsed } from '../support/parsed.ts';
import { until } from '../support/until.ts';
import { codeOf, FileGuest } from './file-driver.ts';
import { workFolder } from './work-folder.ts';

const isRoot = process.getuid?.() === 0;
const rootOnly = { skip: isRoot ? false : 'needs root' };
const nobody = 65_534;

describe('reading and writing files', () => {
  const { place, room } = workFolder();
  let guest: FileGuest;
  before(async () => {
    guest = await FileGuest.start();
  });
  after(() => guest[Symbol.asyncDispose]());

  test('what is written is read back, with the same SHA-256 on both ends', async () => {
    for (const size of [0, 1, 65_535, 65_536, 65_537, 300_000, 5_000_001]) {
      const bytes = randomBytes(size);
      const sha256 = createHash('sha256').update(bytes).digest();
      const path = place(`round-${size}`);
      const written = await guest.write({ path, sha256 }).sendAll(bytes);
      assert.deepEqual([written.bytes, Buffer.from(written.sha256 ?? [])], [size, sha256]);
      const plain = guest.read({ path });
      assert.equal((await plain.end).bytes, size);
      assert.ok(plain.output.equals(bytes));
      const summed = guest.read({ path, sha256: true });
      assert.deepEqual(Buffer.from((await summed.end).sha256 ?? []), sha256);
      assert.ok(summed.output.equals(bytes));
    }
  });

  test('a part of a file is read by offset and length, also beyond its end', async () => {
    const path = place('parts');
    writeFileSync(path, '0123456789');
    const part = async (offset: number, length?: number) => {
      const call = guest.read(length === undefined ? { path, offset } : { path, offset, length });
      await call.end;
      return call.output.toString();
    };
    assert.deepEqual(
      [
        await part(3, 4),
        await part(8),
        await part(8, 100),
        await part(0, 0),
        await part(1000),
        await part(2 ** 40),
      ],
      ['3456', '89', '89', '', '', ''],
    );
  });

  test('the Ack of a read describes the file', async () => {
    const path = place('described');
    writeFileSync(path, 'four');
    chmodSync(path, 0o640);
    const entry = parsed(parseFileEntry(await guest.read({ path }).ack));
    const { mtimeMs, uid, gid } = statSync(path);
    assert.deepEqual([entry.name, entry.kind, entry.size, entry.mode], ['described', 'file', 4, 0o640]);
    assert.deepEqual([entry.mtimeMs, entry.uid, entry.gid], [Math.floor(mtimeMs), uid, gid]);
    if (isRoot) assert.deepEqual([entry.user, entry.group], ['root', 'root']);
  });

  test('a new file is 0644 or as asked, a replaced one keeps its mode without setuid', async () => {
    const path = place('modes');
    const modeAfter = async (mode?: number) => {
      await guest.write(mode === undefined ? { path } : { path, mode }).sendAll('x');
      return statSync(path).mode & 0o7777;
    };
    assert.equal(await modeAfter(), 0o644);
    assert.equal(await modeAfter(0o666), 0o666);
    assert.equal(await modeAfter(), 0o666);
    chmodSync(path, 0o4755);
    assert.equal(await modeAfter(), 0o755);
    assert.equal(await modeAfter(0o1600), 0o1600);
  });

  test('a file belongs to the user who wrote it', rootOnly, async () => {
    const path = join(room('owned', 0o777), 'file');
    await guest.write({ path, user: 'nobody' }).sendAll('x');
    assert.equal(statSync(path).uid, nobody);
    await guest.write({ path, user: '1234:4321' }).sendAll('y');
    assert.deepEqual([statSync(path).uid, statSync(path).gid], [1234, 4321]);
    const { uid, gid, user } = await guest.stat({ path }).end;
    assert.deepEqual([uid, gid, user], [1234, 4321, undefined]);
  });

  test('a reader sees the old bytes or all of the new ones, and no other name meanwhile', async () => {
    const path = join(room('atomic'), 'file');
    writeFileSync(path, 'old');
    const call = guest.write({ path });
    await call.send(randomBytes(60_000));
    await guest.stat({ path }).end;
    assert.equal(readFileSync(path, 'utf8'), 'old');
    if (readdirSync('/proc/self/fd').length > 0) assert.deepEqual(readdirSync(place('atomic')), ['file']);
    const reading = guest.read({ path });
    await reading.end;
    assert.equal(reading.output.toString(), 'old');
    call.eof();
    await call.end;
    assert.equal(statSync(path).size, 60_000);
  });

  test('concurrent readers never see a mix while a file is replaced again and again', async () => {
    const path = place('replaced');
    const letters = ['a', 'b', 'c', 'd'];
    await guest.write({ path }).sendAll('a'.repeat(50_000));
    const writing = (async () => {
      for (let round = 0; round < 100; round += 1) {
        await guest.write({ path }).sendAll((letters[round % 4] ?? 'a').repeat(50_000));
      }
      return true;
    })();
    let done = false;
    writing.then(() => {
      done = true;
    });
    let reads = 0;
    while (!done) {
      const content = await guest.contentOf(path);
      assert.equal(content.length, 50_000);
      assert.equal(content, (content[0] ?? '').repeat(50_000));
      reads += 1;
    }
    assert.ok(await writing);
    assert.ok(reads > 10);
  });

  test('an abandoned write leaves the old file and nothing else', async () => {
    const path = join(room('abandoned'), 'file');
    writeFileSync(path, 'old');
    for (const request of [{ path }, { path: join(place('abandoned'), 'new') }]) {
      const call = guest.write(request);
      await call.ack;
      await call.send(randomBytes(100_000));
      await call.abandon();
    }
    await until(() => readdirSync(place('abandoned')).join() === 'file', 'the old file alone');
    assert.equal(readFileSync(path, 'utf8'), 'old');
  });

  test('other bytes than announced change nothing', async () => {
    const path = place('checked');
    writeFileSync(path, 'old');
    const sha256 = createHash('sha256').update('new').digest();
    assert.equal(await codeOf(guest.write({ path, sha256 }).sendAll('nEw')), 'checksum_mismatch');
    assert.equal(readFileSync(path, 'utf8'), 'old');
    await guest.write({ path, sha256 }).sendAll('new');
    assert.equal(readFileSync(path, 'utf8'), 'new');
    assert.equal(await codeOf(guest.write({ path, append: true, sha256 }).sendAll('!')), 'checksum_mismatch');
    assert.equal(readFileSync(path, 'utf8'), 'new!', 'in place it is told after the fact');
  });

  test('in place: offset, append, a hole, and an exclusive new file', async () => {
    const path = place('in-place');
    await guest.write({ path, append: true }).sendAll('0123');
    await guest.write({ path, append: true }).sendAll('45');
    await guest.write({ path, offset: 1 }).sendAll('X');
    assert.equal(readFileSync(path, 'utf8'), '0X2345');
    await guest.write({ path, offset: 10 }).sendAll('Y');
    assert.equal(readFileSync(path, 'latin1'), '0X2345\0\0\0\0Y');
    assert.equal(await codeOf(guest.write({ path, exclusive: true }).sendAll('')), 'exists');
    assert.equal(await codeOf(guest.write({ path, exclusive: true, append: true }).sendAll('')), 'exists');
    await guest.write({ path: place('exclusive'), exclusive: true, sync: true }).sendAll('mine');
    assert.equal(readFileSync(place('exclusive'), 'utf8'), 'mine');
    const inPlace = await guest.write({ path: place('kept'), offset: 0, mode: 0o600 });
    await inPlace.ack;
    await inPlace.send(Buffer.from('as far'));
    await until(() => statSync(place('kept')).size === 6, 'the six bytes');
    await inPlace.abandon();
    assert.equal(readFileSync(place('kept'), 'utf8'), 'as far');
    assert.equal(statSync(place('kept')).mode & 0o777, 0o600);
  });

  test('of writers of one new name with exclusive exactly one wins', async () => {
    const path = place('raced');
    const outcomes = await Promise.all(
      Array.from({ length: 8 }, async (_, index) => {
        const call = guest.write({ path, exclusive: true });
        const end = call.sendAll(`writer ${index}`);
        return codeOf(end);
      }),
    );
    assert.deepEqual(
      outcomes.filter((code) => code !== 'exists'),
      ['fine'],
    );
  });

  test('missing parents are made when that is asked for', async () => {
    const path = place('p/q/r/file');
    assert.equal(await codeOf(guest.write({ path }).sendAll('')), 'not_found');
    await guest.write({ path, parents: true, mode: 0o600 }).sendAll('deep');
    assert.equal(readFileSync(path, 'utf8'), 'deep');
    assert.equal(statSync(place('p/q')).mode & 0o7777, 0o755);
    assert.equal(
      await codeOf(guest.write({ path: join(path, 'x'), parents: true }).sendAll('')),
      'not_directory',
    );
  });

  test('a path that is a link replaces what it points to', async () => {
    const target = place('link-target');
    writeFileSync(target, 'old');
    chmodSync(target, 0o600);
    symlinkSync('link-target', place('link-1'));
    symlinkSync(place('link-1'), place('link-2'));
    await guest.write({ path: place('link-2') }).sendAll('new');
    assert.equal(readFileSync(target, 'utf8'), 'new');
    assert.equal(lstatSync(target).mode & 0o777, 0o600);
    assert.equal(readlinkSync(place('link-2')), place('link-1'));
    symlinkSync('loop-b', place('loop-a'));
    symlinkSync('loop-a', place('loop-b'));
    assert.equal(await codeOf(guest.write({ path: place('loop-a') }).sendAll('')), 'too_many_links');
    assert.equal(await guest.read({ path: place('loop-a') }).refusal(), 'too_many_links');
    symlinkSync('not-yet', place('dangling'));
    await guest.write({ path: place('dangling') }).sendAll('made');
    assert.equal(readFileSync(place('not-yet'), 'utf8'), 'made');
  });

  test('files of /proc, which have no size, are read to their end', async () => {
    const call = guest.read({ path: '/proc/self/status' });
    const { bytes } = await call.end;
    assert.ok(bytes > 100);
    assert.match(call.output.toString(), /NoNewPrivs:\t1/);
  });

  test('a sparse file of 1 TB is told of, and read in parts', async () => {
    const path = place('sparse');
    writeFileSync(path, '');
    try {
      truncateSync(path, 2 ** 40);
    } catch {
      return;
    }
    assert.equal((await guest.stat({ path }).end).size, 2 ** 40);
    const call = guest.read({ path, offset: 2 ** 40 - 10 });
    assert.equal((await call.end).bytes, 10);
    assert.ok(call.output.equals(Buffer.alloc(10)));
    const whole = guest.read({ path }, { onOutput: () => undefined });
    await whole.ack;
    await whole.abandon();
    assert.equal(await guest.remove({ path }).end, 1);
  });

  test('a hard link is replaced, so what else it names keeps its bytes', async () => {
    writeFileSync(place('hard-1'), 'one');
    linkSync(place('hard-1'), place('hard-2'));
    await guest.write({ path: place('hard-2') }).sendAll('two');
    assert.equal(readFileSync(place('hard-1'), 'utf8'), 'one');
  });

  test('many requests at once are all answered', async () => {
    const path = room('busy');
    const ends = Array.from({ length: 200 }, (_, index) => {
      const file = join(path, String(index));
      return guest
        .write({ path: file })
        .sendAll(String(index))
        .then(() => guest.contentOf(file));
    });
    assert.deepEqual(
      await Promise.all(ends),
      Array.from({ length: 200 }, (_, index) => String(index)),
    );
  });
});
