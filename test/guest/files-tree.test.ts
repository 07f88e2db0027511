import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';

import {
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { parseFileEntry } from '../../protocol/file-answers.ts';
import { FileGuest } from './file-driver.ts';
import { workFolder } from './work-folder.ts';

const isRoot = process.getuid?.() === 0;
const rootOnly = { skip: isRoot ? false : 'needs root' };
const nobody = 65_534;

describe('files in directories', () => {
  const { path: folder, place, room } = workFolder();
  let guest: FileGuest;
  before(async () => {
    guest = await FileGuest.start();
  });
  after(() => guest[Symbol.asyncDispose]());

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
        last === undefined ? { path, limit: 20_000 } : { path, limit: 20_000, after: last },
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
});

const deepTreeScript = `
import os, sys
os.mkdir(sys.argv[1]); os.chdir(sys.argv[1])
for i in range(int(sys.argv[2])):
    os.mkdir('d'); os.chdir('d')
`;
