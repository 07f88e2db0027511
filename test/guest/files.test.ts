import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { buildGuest } from '../../guest/build.mjs';
import { parseFileEntry } from '../../protocol/file-answers.ts';
import { FileGuest } from './file-driver.ts';
import { parsed } from './guest-driver.ts';

const isRoot = process.getuid?.() === 0;
const rootOnly = { skip: isRoot ? false : 'needs root' };
const nobody = 65_534;

describe('file requests', () => {
  let guest: FileGuest;
  let folder: string;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'warmpool-files-'));
    chmodSync(folder, 0o755);
    guest = await FileGuest.start();
  });
  after(async () => {
    await guest[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  function place(name: string): string {
    return join(folder, name);
  }

  /** A new empty directory. */
  function room(name: string, mode = 0o755): string {
    const path = place(name);
    mkdirSync(path);
    chmodSync(path, mode);
    return path;
  }

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
    if (existsInProc()) assert.deepEqual(readdirSync(place('atomic')), ['file']);
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
    await waitUntil(() => readdirSync(place('abandoned')).join() === 'file');
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
    await waitUntil(() => statSync(place('kept')).size === 6);
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

  test('paths are relative to cwd, and cwd must be one the user may enter', rootOnly, async () => {
    const path = room('cwd');
    await guest.write({ path: 'here', cwd: path }).sendAll('x');
    assert.equal(readFileSync(join(path, 'here'), 'utf8'), 'x');
    chmodSync(path, 0o700);
    assert.equal(await guest.stat({ path: 'here', cwd: path, user: 'nobody' }).refusal(), 'cwd_invalid');
    assert.equal(await guest.stat({ path: 'x', cwd: '/proc/self/fd' }).refusal(), 'cwd_invalid');
    assert.equal(await guest.stat({ path: 'x', cwd: place('nowhere') }).refusal(), 'cwd_invalid');
  });

  test('what a user may not do is permission_denied, for every request', rootOnly, async () => {
    const closed = room('closed', 0o700);
    writeFileSync(join(closed, 'file'), 'secret');
    const open = room('open', 0o755);
    writeFileSync(join(open, 'file'), 'x');
    chmodSync(join(open, 'file'), 0o600);
    const user = 'nobody';
    const codes = await Promise.all([
      guest.read({ path: join(closed, 'file'), user }).refusal(),
      guest.read({ path: join(open, 'file'), user }).refusal(),
      codeOf(guest.write({ path: join(open, 'file'), user }).sendAll('')),
      codeOf(guest.write({ path: join(open, 'new'), user }).sendAll('')),
      codeOf(guest.write({ path: join(open, 'file'), append: true, user }).sendAll('')),
      guest.list({ path: closed, user }).refusal(),
      guest.stat({ path: join(closed, 'file'), user }).refusal(),
      guest.mkdir({ path: join(open, 'd'), user }).refusal(),
      guest.rename({ path: join(open, 'file'), to: join(open, 'g'), user }).refusal(),
      guest.remove({ path: join(open, 'file'), user }).refusal(),
      guest.change({ path: join(open, 'file'), mode: 0o777, user }).refusal(),
      guest.change({ path: join(open, 'file'), owner: 'nobody', user }).refusal(),
      guest.tarRead({ path: closed, user }).refusal(),
      codeOf(guest.tarWrite({ path: open, user }).sendAll(tarOf(open))),
      guest.watch({ path: closed, user }).refusal(),
    ]);
    assert.deepEqual([...new Set(codes)], ['permission_denied']);
    assert.equal((await guest.stat({ path: open, user }).end).kind, 'directory');
  });

  test('unknown users are refused, in the request and as an owner', rootOnly, async () => {
    assert.equal(await guest.stat({ path: '/', user: 'nobody-here' }).refusal(), 'user_unknown');
    writeFileSync(place('ownerless'), '');
    assert.equal(
      await guest.change({ path: place('ownerless'), owner: 'nobody-here' }).refusal(),
      'user_unknown',
    );
  });

  test('a list is sorted by bytes, pages by name, and says whether there is more', async () => {
    const path = room('listed');
    for (const name of ['b', 'a', 'B', 'ä', 'aa', '10', '9', '.hidden']) writeFileSync(join(path, name), '');
    symlinkSync('a', join(path, 'z-link'));
    mkdirSync(join(path, 'm'));
    const sorted = ['.hidden', '10', '9', 'B', 'a', 'aa', 'b', 'm', 'z-link', 'ä'];
    const names = async (request: object) =>
      (await guest.entries({ path, ...request })).map(({ name }) => name);
    assert.deepEqual(await names({}), sorted);
    assert.deepEqual(await names({ after: 'aa' }), sorted.slice(6));
    assert.deepEqual(await names({ after: 'ab' }), sorted.slice(6), 'the name need not exist');
    assert.deepEqual(await names({ after: 'a', limit: 2 }), ['aa', 'b']);
    assert.deepEqual(await guest.list({ path, limit: 9 }).end, { entries: 9, more: true });
    assert.deepEqual(await guest.list({ path, limit: 10 }).end, { entries: 10, more: false });
    const link = (await guest.entries({ path })).find(({ name }) => name === 'z-link');
    assert.deepEqual([link?.kind, link?.target], ['symlink', 'a']);
    assert.equal(await guest.list({ path: join(path, 'a') }).refusal(), 'not_directory');
    assert.equal(await guest.list({ path: join(path, 'none') }).refusal(), 'not_found');
  });

  test('a deep list enters directories, parents first, and no links', async () => {
    const path = room('tree');
    mkdirSync(join(path, 'a/b/c'), { recursive: true });
    writeFileSync(join(path, 'a/b/c/f'), '');
    writeFileSync(join(path, 'a.txt'), '');
    symlinkSync('/', join(path, 'a/root'));
    const names = async (depth: number) => (await guest.entries({ path, depth })).map(({ name }) => name);
    assert.deepEqual(await names(1), ['a', 'a.txt']);
    assert.deepEqual(await names(2), ['a', 'a/b', 'a/root', 'a.txt']);
    assert.deepEqual(await names(65_535), ['a', 'a/b', 'a/b/c', 'a/b/c/f', 'a/root', 'a.txt']);
    assert.deepEqual(await guest.list({ path, depth: 9, limit: 3 }).end, { entries: 3, more: true });
  });

  test('100,000 entries are listed at once and in pages', async (context) => {
    const path = room('many');
    const count = 100_000;
    const names = Array.from(
      { length: count },
      (_, index) => `${(index * 7919) % count}-${'n'.repeat(index % 40)}`,
    );
    spawnSync('xargs', ['-0', 'touch'], { cwd: path, input: names.join('\0') });
    const expected = [...names].sort();
    let startMs = performance.now();
    const all = await guest.entries({ path });
    context.diagnostic(`at once ${Math.round(performance.now() - startMs)} ms`);
    assert.deepEqual(
      all.map(({ name }) => name),
      expected,
    );
    startMs = performance.now();
    const paged: string[] = [];
    for (let more = true; more; ) {
      const last = paged.at(-1);
      const call = guest.list(
        last === undefined ? { path, limit: 5000 } : { path, limit: 5000, after: last },
      );
      more = (await call.end).more;
      for (const { name } of call.records(parseFileEntry)) paged.push(String(name));
    }
    context.diagnostic(`in pages ${Math.round(performance.now() - startMs)} ms`);
    assert.deepEqual(paged, expected);
    startMs = performance.now();
    assert.equal(await guest.remove({ path, recursive: true }).end, count + 1);
    context.diagnostic(`removed in ${Math.round(performance.now() - startMs)} ms`);
  });

  test('stat tells every kind, and links as themselves when asked', async () => {
    const path = room('kinds');
    spawnSync('mkfifo', [join(path, 'fifo')]);
    symlinkSync('fifo', join(path, 'link'));
    const kind = async (name: string, follow = true) =>
      (await guest.stat({ path: join(path, name), follow }).end).kind;
    assert.equal(await kind('fifo'), 'fifo');
    assert.equal(await kind('link'), 'fifo');
    assert.equal(await kind('link', false), 'symlink');
    assert.equal((await guest.stat({ path: join(path, 'link'), follow: false }).end).target, 'fifo');
    assert.equal((await guest.stat({ path: '/dev/null' }).end).kind, 'character');
    assert.deepEqual(await namesOf('/', '/etc/', '.', '..'), ['/', 'etc', '.', '..']);
    assert.equal(await guest.stat({ path: `${join(path, 'fifo')}/` }).refusal(), 'not_directory');
  });

  async function namesOf(...paths: string[]): Promise<unknown[]> {
    return Promise.all(paths.map(async (path) => (await guest.stat({ path, cwd: folder }).end).name));
  }

  test('mkdir says whether it made it, and has the mode that is asked', async () => {
    const path = place('made');
    assert.equal(await guest.mkdir({ path: place('made-setgid'), mode: 0o2770 }).end, true);
    assert.equal(statSync(place('made-setgid')).mode & 0o7777, 0o2770);
    assert.equal(await guest.mkdir({ path, mode: 0o1777 }).end, true);
    assert.equal(statSync(path).mode & 0o7777, 0o1777);
    assert.equal(await guest.mkdir({ path }).refusal(), 'exists');
    assert.equal(await guest.mkdir({ path, parents: true }).end, false);
    assert.equal(await guest.mkdir({ path: join(path, 'x/y/z') }).refusal(), 'not_found');
    assert.equal(await guest.mkdir({ path: join(path, 'x/y/z/'), parents: true }).end, true);
    assert.equal(statSync(join(path, 'x/y/z')).mode & 0o7777, 0o755);
    writeFileSync(join(path, 'file'), '');
    assert.equal(await guest.mkdir({ path: join(path, 'file'), parents: true }).refusal(), 'exists');
    assert.equal(await guest.mkdir({ path: join(path, 'file/x'), parents: true }).refusal(), 'not_directory');
  });

  test('rename replaces or refuses to, and names what is in the way', async () => {
    const path = room('renames');
    const [a, b] = [join(path, 'a'), join(path, 'b')];
    const [d, e] = [join(path, 'd'), join(path, 'e')];
    writeFileSync(a, 'a');
    writeFileSync(b, 'b');
    mkdirSync(d);
    mkdirSync(e);
    assert.equal(await guest.rename({ path: a, to: b, replace: false }).refusal(), 'exists');
    await guest.rename({ path: a, to: b }).end;
    assert.equal(readFileSync(b, 'utf8'), 'a');
    assert.equal(await guest.rename({ path: b, to: d }).refusal(), 'is_directory');
    assert.equal(await guest.rename({ path: d, to: b }).refusal(), 'not_directory');
    assert.equal(await guest.rename({ path: d, to: e, replace: false }).refusal(), 'exists');
    await guest.rename({ path: d, to: join(path, 'f'), replace: false }).end;
    writeFileSync(join(e, 'x'), '');
    assert.equal(await guest.rename({ path: join(path, 'f'), to: e }).refusal(), 'not_empty');
    assert.equal(await guest.rename({ path: join(path, 'none'), to: a }).refusal(), 'not_found');
    assert.equal(await guest.rename({ path: b, to: '/dev/shm/warmpool-other' }).refusal(), 'cross_device');
    assert.equal(await guest.rename({ path: '/proc', to: a }).refusal(), 'read_only');
    symlinkSync('b', join(path, 'link'));
    await guest.rename({ path: join(path, 'link'), to: join(path, 'link2') }).end;
    assert.equal(readlinkSync(join(path, 'link2')), 'b', 'the link itself is renamed');
  });

  test('remove takes trees of any depth and never what a link points to', async () => {
    const path = room('removed');
    const outside = join(room('outside-of-it'), 'kept');
    writeFileSync(outside, '');
    mkdirSync(join(path, 'a/b/c'), { recursive: true });
    symlinkSync(place('outside-of-it'), join(path, 'a/b/link'));
    writeFileSync(join(path, 'a/file'), '');
    assert.equal(await guest.remove({ path }).refusal(), 'not_empty');
    assert.equal(await guest.remove({ path: join(path, 'none'), recursive: true }).refusal(), 'not_found');
    assert.equal(await guest.remove({ path, recursive: true }).end, 6);
    assert.ok(lstatSync(outside).isFile());
    const deep = 3000;
    assert.equal(spawnSync('python3', ['-c', deepTreeScript, place('deep'), String(deep)]).status, 0);
    assert.equal(await guest.remove({ path: place('deep'), recursive: true }).end, deep + 1);
    symlinkSync(place('outside-of-it'), place('link-to-it'));
    assert.equal(await guest.remove({ path: place('link-to-it'), recursive: true }).end, 1);
    assert.equal(await guest.remove({ path: `${place('outside-of-it')}/.` }).refusal(), 'name_invalid');
    assert.equal(await guest.remove({ path: '/proc', recursive: true }).refusal(), 'read_only');
  });

  test('change sets mode, owner and time, of a file, a directory and a link', rootOnly, async () => {
    const path = place('changed');
    writeFileSync(path, '');
    await using capable = await FileGuest.start({ args: ['--root-capabilities=0xb'] });
    const entry = await capable.change({ path, mode: 0o4711, owner: 'nobody', mtimeMs: 1_234_567_890_123 })
      .end;
    assert.deepEqual(
      [entry.mode, entry.uid, entry.mtimeMs, entry.user],
      [0o4711, nobody, 1_234_567_890_123, 'nobody'],
    );
    symlinkSync('changed', place('link-to-changed'));
    await capable.change({ path: place('link-to-changed'), follow: false, owner: '7:8', mtimeMs: 5000 }).end;
    assert.equal(lstatSync(place('link-to-changed')).uid, 7);
    assert.equal(statSync(path).uid, nobody);
    assert.equal((await guest.change({ path: room('changed-directory'), mode: 0o700 }).end).mode, 0o700);
    spawnSync('mkfifo', [place('changed-fifo')]);
    assert.equal((await guest.change({ path: place('changed-fifo'), mode: 0o600 }).end).mode, 0o600);
  });

  test('only regular files are opened, and nobody waits for the others', async () => {
    const path = room('odd');
    spawnSync('mkfifo', [join(path, 'fifo')]);
    for (const target of [join(path, 'fifo'), '/dev/null', '/dev/zero', '/dev/tty']) {
      assert.equal(await guest.read({ path: target }).refusal(), 'not_regular');
      assert.equal(await codeOf(guest.write({ path: target }).sendAll('')), 'not_regular');
      assert.equal(await codeOf(guest.write({ path: target, append: true }).sendAll('')), 'not_regular');
      assert.equal(await guest.tarRead({ path: target }).refusal(), 'not_regular');
      assert.equal(await guest.watch({ path: target }).refusal(), 'not_regular');
    }
    assert.equal(await guest.read({ path }).refusal(), 'is_directory');
    assert.equal(await codeOf(guest.write({ path }).sendAll('')), 'is_directory');
    assert.equal(await guest.read({ path: `${join(path, 'fifo')}/x` }).refusal(), 'not_directory');
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

  test('names of any bytes and of 255 are kept; longer ones and NUL are refused', async () => {
    const path = room('names');
    const bytes = Buffer.from([0xff, 0xfe, 0x80, 0x2f - 1]);
    const full = Buffer.concat([Buffer.from(`${path}/`), bytes]);
    await guest.write({ path: full }).sendAll('raw');
    const [entry] = await guest.entries({ path });
    assert.ok(entry !== undefined && typeof entry.name !== 'string');
    assert.ok(bytes.equals(entry.name));
    assert.equal(await guest.contentOf(full), 'raw');
    assert.equal(await guest.remove({ path: full }).end, 1);
    const long = 'n'.repeat(255);
    await guest.write({ path: join(path, long) }).sendAll('long');
    assert.equal(await guest.contentOf(join(path, long)), 'long');
    assert.equal(await guest.stat({ path: join(path, `${long}n`) }).refusal(), 'name_invalid');
    assert.equal(await guest.stat({ path: `/${'x/'.repeat(2046)}y` }).refusal(), 'not_found');
    const payload = (path: string) => ({
      value: Buffer.concat([Buffer.from([0x81, 0xa4]), Buffer.from('path'), str(path)]),
    });
    const stat = (path: string) => guest.open('FileStat', payload(path), () => ({ error: '' })).refusal();
    assert.equal(await stat('/tmp\0/x'), 'name_invalid');
    assert.equal(await stat(''), 'name_invalid');
    assert.equal(await stat('x'.repeat(4096)), 'name_invalid');
    assert.equal(await stat(`/${'x'.repeat(4094)}`), 'name_invalid');
  });

  test('maps that are not those of the page are invalid_payload', async () => {
    const refused = async (hex: string) => {
      const value = Buffer.from(hex.replaceAll(' ', ''), 'hex');
      return guest.open('FileWrite', { value }, () => ({ error: '' })).refusal();
    };
    const path = 'a4 70617468 a2 2f78';
    assert.equal(await refused('80'), 'invalid_payload');
    assert.equal(await refused('90'), 'invalid_payload');
    assert.equal(await refused(`82 ${path} ${path}`), 'invalid_payload');
    assert.equal(await refused(`82 ${path} a4 6d6f6465 cd 1000`), 'invalid_payload');
    assert.equal(await refused(`82 ${path} a6 736861323536 c4 02 0000`), 'invalid_payload');
    assert.equal(await refused(`83 ${path} a6 6f6666736574 01 a6 617070656e64 c3`), 'invalid_payload');
    assert.equal(await refused('81 a4 70617468 07'), 'invalid_payload');
  });

  test('a full disk is no_space, and the old file is intact', rootOnly, async () => {
    const full = room('full');
    await using cramped = await FileGuest.start({
      binary: 'unshare',
      args: ['--mount', 'sh', '-c', `mount -t tmpfs -o size=1m tmpfs ${full} && exec ${buildGuest().path}`],
    });
    const path = join(full, 'file');
    await cramped.write({ path }).sendAll('old');
    for (const request of [{ path }, { path: join(full, 'other') }]) {
      assert.equal(await codeOf(cramped.write(request).sendAll(Buffer.alloc(3_000_000))), 'no_space');
    }
    assert.equal(await cramped.contentOf(path), 'old');
    assert.deepEqual(
      (await cramped.entries({ path: full })).map(({ name }) => name),
      ['file'],
    );
    assert.equal(await codeOf(cramped.tarWrite({ path: full }).sendAll(tarOfZeros(3_000_000))), 'no_space');
    assert.equal(
      await codeOf(cramped.write({ path, append: true }).sendAll(Buffer.alloc(3_000_000))),
      'no_space',
    );
    assert.equal(await cramped.remove({ path }).end, 1);
    await cramped.write({ path }).sendAll('there is room again');
    assert.equal(await cramped.rename({ path, to: place('elsewhere') }).refusal(), 'cross_device');
    assert.equal(
      await cramped.remove({ path: full, recursive: true }).refusal(),
      'read_only',
      'a mount point is busy',
    );
  });

  test('the limit on the size of a file is no_space, and the old file is intact', async () => {
    await using limited = await FileGuest.start({ args: ['--fsize=100000'] });
    const path = place('limited');
    await limited.write({ path }).sendAll('old');
    assert.equal(await codeOf(limited.write({ path }).sendAll(Buffer.alloc(200_000))), 'no_space');
    assert.equal(readFileSync(path, 'utf8'), 'old');
  });

  test('a read-only file system is read_only', rootOnly, async () => {
    const fixed = room('fixed');
    await using guest = await FileGuest.start({
      binary: 'unshare',
      args: ['--mount', 'sh', '-c', `mount -t tmpfs -o ro tmpfs ${fixed} && exec ${buildGuest().path}`],
    });
    assert.equal(await codeOf(guest.write({ path: join(fixed, 'x') }).sendAll('')), 'read_only');
    assert.equal(await guest.mkdir({ path: join(fixed, 'x') }).refusal(), 'read_only');
  });

  test(
    'without /proc a hidden file takes the place of a nameless one, and goes with its write',
    rootOnly,
    async () => {
      const root = room('bare');
      copyFileSync(buildGuest().path, join(root, 'warmpool-guest'));
      mkdirSync(join(root, 'data'));
      await using bare = await FileGuest.start({
        binary: '/usr/sbin/chroot',
        args: [root, '/warmpool-guest'],
      });
      const data = () => readdirSync(join(root, 'data'));
      const path = '/data/file';
      await bare.write({ path }).sendAll('first');
      await bare.write({ path, exclusive: false }).sendAll('second');
      assert.equal(await codeOf(bare.write({ path, exclusive: true }).sendAll('third')), 'exists');
      await bare.write({ path: '/data/own', exclusive: true }).sendAll('own');
      assert.equal(readFileSync(join(root, path), 'utf8'), 'second');
      assert.deepEqual(data().sort(), ['file', 'own']);
      const call = bare.write({ path });
      await call.ack;
      assert.equal(data().length, 3);
      await call.abandon();
      await waitUntil(() => data().length === 2);
      const sha256 = new Uint8Array(32);
      assert.equal(await codeOf(bare.write({ path, sha256 }).sendAll('other')), 'checksum_mismatch');
      assert.deepEqual(data().sort(), ['file', 'own']);
      assert.equal((await bare.change({ path, mtimeMs: 1000 }).end).mtimeMs, 1000);
      assert.equal(await bare.stat({ path, root: '/data' }).end.then(({ name }) => name), 'file');
      assert.equal(await bare.stat({ path: '/warmpool-guest', root: '/data' }).refusal(), 'outside_root');
    },
  );

  test('an unprivileged agent serves files of its own user', rootOnly, async () => {
    const home = room('home');
    chownSync(home, 1000, 1000);
    await using own = await FileGuest.start({ uid: 1000 });
    await own.write({ path: join(home, 'a/b'), parents: true }).sendAll('mine');
    assert.equal(await own.contentOf(join(home, 'a/b')), 'mine');
    assert.equal(statSync(join(home, 'a/b')).uid, 1000);
    assert.equal(await own.stat({ path: home, user: 'root' }).refusal(), 'user_unavailable');
  });

  test('links of somebody else in a directory like /tmp are not followed', rootOnly, async () => {
    const sticky = room('sticky', 0o1777);
    writeFileSync(place('aim'), 'aim');
    symlinkSync(place('aim'), join(sticky, 'trap'));
    spawnSync('chown', ['-h', '1234', join(sticky, 'trap')]);
    assert.equal(await guest.read({ path: join(sticky, 'trap') }).refusal(), 'permission_denied');
    assert.equal(await codeOf(guest.write({ path: join(sticky, 'trap') }).sendAll('')), 'permission_denied');
    assert.equal(readFileSync(place('aim'), 'utf8'), 'aim');
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

async function codeOf(end: Promise<unknown>): Promise<string> {
  try {
    await end;
    return 'fine';
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

function existsInProc(): boolean {
  return readdirSync('/proc/self/fd').length > 0;
}

/** For what no frame announces. */
async function waitUntil(holds: () => boolean): Promise<void> {
  const deadlineMs = Date.now() + 10_000;
  while (!holds()) {
    assert.ok(Date.now() < deadlineMs, 'waited too long');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function tarOf(folder: string): Buffer {
  return spawnSync('tar', ['-C', folder, '-cf', '-', '.']).stdout;
}

function tarOfZeros(size: number): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'warmpool-tar-'));
  writeFileSync(join(folder, 'zeros'), Buffer.alloc(size));
  const tar = spawnSync('tar', ['-C', folder, '-cf', '-', 'zeros'], { maxBuffer: 2 * size }).stdout;
  rmSync(folder, { recursive: true });
  return tar;
}

function str(text: string): Buffer {
  return Buffer.concat([Buffer.from([0xda, text.length >> 8, text.length & 255]), Buffer.from(text)]);
}

const deepTreeScript = `
import os, sys
os.mkdir(sys.argv[1]); os.chdir(sys.argv[1])
for i in range(int(sys.argv[2])):
    os.mkdir('d'); os.chdir('d')
`;
