import assert from 'node:assert/strict';
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { type Header, pack } from 'tar-stream';
import { packDirectory } from '../../src/client/node/local-archive.ts';
import { unpackInto } from '../../src/client/node/unpack-archive.ts';

const folder = await mkdtemp(join(tmpdir(), 'wp-unpack-'));
const target = join(folder, 'target');
const outside = join(folder, 'outside');
after(() => rm(folder, { recursive: true, force: true }));
beforeEach(async () => {
  for (const path of [target, outside]) {
    await rm(path, { recursive: true, force: true });
    await mkdir(path);
  }
  await writeFile(join(outside, 'precious'), 'mine');
});

type Entry = readonly [header: Pick<Header, 'name'> & Partial<Header>, content?: string];

const hostile: Readonly<Record<string, readonly Entry[]>> = {
  'a name with ..': [[{ name: '../outside/precious' }, 'evil']],
  'a name with .. in the middle': [[{ name: 'a/../../outside/precious' }, 'evil']],
  'an absolute name': [[{ name: join(folder, 'outside/precious') }, 'evil']],
  'a file through a link of the archive': [
    [{ name: 'way', type: 'symlink', linkname: '../outside' }],
    [{ name: 'way/precious' }, 'evil'],
  ],
  'a directory through a link of the archive': [
    [{ name: 'way', type: 'symlink', linkname: '../outside' }],
    [{ name: 'way/new', type: 'directory' }],
  ],
  'a link in place of a directory that is then written to': [
    [{ name: 'way', type: 'symlink', linkname: '../outside' }],
    [{ name: 'way', type: 'directory' }],
    [{ name: 'way/precious' }, 'evil'],
  ],
  'a hard link to the outside': [[{ name: 'hard', type: 'link', linkname: '../outside/precious' }]],
  'a hard link through a link': [
    [{ name: 'way', type: 'symlink', linkname: '../outside' }],
    [{ name: 'hard', type: 'link', linkname: 'way/precious' }],
  ],
  'a hard link to a symbolic link': [
    [{ name: 'way', type: 'symlink', linkname: '../outside/precious' }],
    [{ name: 'hard', type: 'link', linkname: 'way' }],
  ],
  'a device': [[{ name: 'disk', type: 'block-device', devmajor: 8, devminor: 0 }]],
  'a FIFO': [[{ name: 'pipe', type: 'fifo' }]],
};

for (const [name, entries] of Object.entries(hostile)) {
  test(`an archive with ${name} is refused, and nothing outside changes`, async () => {
    await assert.rejects(unpackInto(target, archiveOf(entries)), { code: 'archive_invalid' });
    assert.equal(await readFile(join(outside, 'precious'), 'utf8'), 'mine');
    assert.deepEqual(await readdir(outside), ['precious']);
  });
}

test('a file that replaces a link replaces the link, and never writes through it', async () => {
  await symlink(join(outside, 'precious'), join(target, 'file'));
  await unpackInto(target, archiveOf([[{ name: 'file' }, 'new']]));
  assert.equal((await lstat(join(target, 'file'))).isFile(), true);
  assert.equal(await readFile(join(outside, 'precious'), 'utf8'), 'mine');
});

test('bits that give away rights, and owners, are left out', async () => {
  await unpackInto(target, archiveOf([[{ name: 'tool', mode: 0o6755, uid: 12_345 }, 'x']]));
  const stats = await stat(join(target, 'tool'));
  assert.equal(stats.mode & 0o7777, 0o755);
  assert.equal(stats.uid, process.getuid?.());
});

test('an archive that ends in the middle is an error, and its source is let go', async () => {
  let letGo = false;
  const cut = (async function* () {
    try {
      for await (const piece of archiveOf([[{ name: 'file', size: 3 }, 'abc']])) {
        yield piece.subarray(0, 600);
        throw new Error('the connection broke');
      }
    } finally {
      letGo = true;
    }
  })();
  await assert.rejects(unpackInto(target, cut), /the connection broke/);
  assert.equal(letGo, true);
});

test('a directory that is packed and unpacked is the same, and what is no file is told', async () => {
  await mkdir(join(outside, 'closed'), { mode: 0o500 });
  const skipped: string[] = [];
  const packed = packDirectory(outside, { onSkipped: (name) => skipped.push(name) });
  assert.deepEqual(await unpackInto(target, packed), { entries: 2, bytes: 4 });
  assert.equal((await stat(join(target, 'closed'))).mode & 0o777, 0o500);
  assert.equal(await readFile(join(target, 'precious'), 'utf8'), 'mine');
  assert.deepEqual(skipped, []);
});

test('packing stops when nobody wants more', async () => {
  for (let i = 0; i < 50; i += 1) await writeFile(join(outside, `big-${i}`), Buffer.alloc(100_000));
  for await (const piece of packDirectory(outside)) {
    assert.ok(piece.length > 0);
    break;
  }
  await assert.rejects(
    (async () => {
      for await (const _ of packDirectory(join(outside, 'nowhere')));
    })(),
    { code: 'ENOENT' },
  );
});

function archiveOf(entries: readonly Entry[]): AsyncIterable<Uint8Array> {
  const archive = pack();
  for (const [header, content] of entries) archive.entry(header, content ?? '');
  archive.finalize();
  return archive as AsyncIterable<Uint8Array>;
}
