import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { until } from '../support/until.ts';
import { codeOf, FileGuest } from './file-driver.ts';

/** Archives both ways, with GNU tar as the other side, and archives that mean harm. */
const rootOnly = { skip: process.getuid?.() === 0 ? false : 'needs root' };

describe('archives of files', () => {
  let guest: FileGuest;
  let folder: string;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'warmpool-files-tar-'));
    chmodSync(folder, 0o755);
    guest = await FileGuest.start();
  });
  after(async () => {
    await guest[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  function room(name: string): string {
    const path = join(folder, name);
    mkdirSync(path);
    return path;
  }

  async function pack(path: string): Promise<Buffer> {
    const call = guest.tarRead({ path });
    const { bytes } = await call.end;
    assert.equal(bytes, call.output.length);
    return call.output;
  }

  /** A tree with everything an archive can hold. */
  function oddTree(name: string): string {
    const path = room(name);
    writeFileSync(join(path, 'empty'), '');
    writeFileSync(join(path, 'block'), 'b'.repeat(512));
    writeFileSync(join(path, 'large'), Buffer.alloc(700_001, 'xyz'));
    writeFileSync(join(path, 'script'), '#!/bin/sh\n');
    chmodSync(join(path, 'script'), 0o751);
    mkdirSync(join(path, 'empty-directory'), { mode: 0o700 });
    mkdirSync(join(path, 'sticky'));
    chmodSync(join(path, 'sticky'), 0o1777);
    mkdirSync(join(path, 'read-only'));
    writeFileSync(join(path, 'read-only', 'inside'), 'still written');
    symlinkSync('large', join(path, 'link'));
    symlinkSync('/nowhere/at/all', join(path, 'dangling'));
    symlinkSync(`/${'long/'.repeat(60)}target`, join(path, 'long-link'));
    linkSync(join(path, 'block'), join(path, 'hard'));
    const n100 = 'n'.repeat(100);
    writeFileSync(join(path, n100), 'a name of 100 bytes');
    writeFileSync(join(path, `${n100}n`), 'a name of 101 bytes');
    mkdirSync(join(path, n100.slice(40), n100.slice(40)), { recursive: true });
    writeFileSync(join(path, n100.slice(40), n100.slice(40), 'file'), 'prefix and name');
    mkdirSync(join(path, 'd'.repeat(200), 'e'.repeat(200)), { recursive: true });
    writeFileSync(
      join(path, 'd'.repeat(200), 'e'.repeat(200), 'f'.repeat(255)),
      'only in an extended header',
    );
    writeFileSync(join(path, 'ünïcödé and spaces'), 'text');
    writeFileSync(Buffer.concat([Buffer.from(`${path}/`), Buffer.from([0xff, 0xfe])]), 'no text');
    writeFileSync(
      Buffer.concat([Buffer.from(`${path}/${'r'.repeat(150)}`), Buffer.from([0xff])]),
      'long, no text',
    );
    for (const name of readdirSync(path, { encoding: 'buffer' })) {
      const full = Buffer.concat([Buffer.from(`${path}/`), name]);
      if (!lstatSync(full).isSymbolicLink()) utimesSync(full, 1_000_000_000, 1_500_000_000);
    }
    utimesSync(join(path, 'empty'), 0, -100);
    chmodSync(join(path, 'read-only'), 0o555);
    return path;
  }

  /** What can be compared of two trees: names, kinds, modes, times, targets, number of names, contents. */
  function describeTree(path: string): string {
    const { stdout, stderr, status } = spawnSync('python3', ['-c', describeScript, path], {
      encoding: 'utf8',
    });
    assert.equal(status, 0, stderr);
    return stdout;
  }

  test('GNU tar unpacks what is packed here, bit for bit', async () => {
    const source = oddTree('gnu-reads');
    const target = room('gnu-reads-out');
    const archive = await pack(source);
    const { status, stderr } = spawnSync('tar', ['-C', target, '--warning=no-unknown-keyword', '-xpf', '-'], {
      input: archive,
      encoding: 'utf8',
    });
    assert.equal(status, 0, stderr);
    assert.equal(stderr, '');
    assert.equal(describeTree(target), describeTree(source));
  });

  for (const format of ['pax', 'gnu', 'ustar']) {
    test(`what GNU tar packs as ${format} is unpacked here, bit for bit`, async () => {
      const source = oddTree(`gnu-writes-${format}`);
      if (format === 'ustar') rmSync(join(source, 'd'.repeat(200)), { recursive: true });
      if (format === 'ustar') rmSync(join(source, `${'n'.repeat(101)}`));
      if (format === 'ustar') rmSync(join(source, 'long-link'));
      if (format === 'ustar')
        rmSync(Buffer.concat([Buffer.from(`${source}/${'r'.repeat(150)}`), Buffer.from([0xff])]));
      if (format === 'ustar') utimesSync(join(source, 'empty'), 0, 100);
      const { stdout, stderr, status } = spawnSync(
        'tar',
        ['-C', source, `--format=${format}`, '--sort=name', '-cf', '-', '.'],
        { maxBuffer: 1e8 },
      );
      assert.equal(status, 0, stderr.toString());
      const target = room(`gnu-writes-${format}-out`);
      const end = await guest.tarWrite({ path: target }).sendAll(stdout);
      assert.equal(end.bytes, stdout.length);
      assert.equal(describeTree(target), describeTree(source));
    });
  }

  test('what is packed here is unpacked here, and packing that again gives the same bytes', async () => {
    const source = oddTree('both');
    const archive = await pack(source);
    const target = join(folder, 'both-out', 'made');
    const { entries } = await guest.tarWrite({ path: target, parents: true }).sendAll(archive);
    assert.equal(describeTree(target), describeTree(source));
    const again = guest.tarRead({ path: target });
    assert.equal((await again.end).entries, entries);
    assert.ok(again.output.equals(archive));
  });

  test(
    'one file is an archive of one entry; a link to it too; odd kinds and setuid are left out',
    rootOnly,
    async () => {
      const path = room('single');
      writeFileSync(join(path, 'file'), 'content');
      symlinkSync('file', join(path, 'link'));
      const list = (archive: Buffer) =>
        spawnSync('tar', ['-tvf', '-'], { input: archive, encoding: 'utf8' }).stdout;
      assert.match(list(await pack(join(path, 'file'))), /^-rw-r--r-- root\/root +7 .* file\n$/);
      assert.match(list(await pack(join(path, 'link'))), /^-rw-r--r-- root\/root +7 .* link\n$/);
      const odd = room('odd-kinds');
      spawnSync('mkfifo', [join(odd, 'fifo')]);
      writeFileSync(join(odd, 'setuid'), '');
      chmodSync(join(odd, 'setuid'), 0o6755);
      chownSync(join(odd, 'setuid'), 3_000_000, 2_500_000);
      const archive = await pack(odd);
      assert.match(list(archive), /^-rwxr-xr-x 3000000\/2500000 +0 .* setuid\n$/);
      await guest.tarWrite({ path: join(folder, 'odd-out'), parents: true }).sendAll(archive);
    },
  );

  test('a file that is larger than 8 GiB has its size in an extended header', async () => {
    const path = room('sparse');
    writeFileSync(join(path, 'file'), '');
    try {
      truncateSync(join(path, 'file'), 2 ** 34);
    } catch {
      return;
    }
    let head = Buffer.alloc(0);
    const onOutput = (bytes: Uint8Array) => {
      if (head.length < 2048) head = Buffer.concat([head, bytes]);
    };
    const call = guest.tarRead({ path }, { onOutput });
    await call.ack;
    await until(
      () => head.length >= 2048,
      () => `${head.length} bytes`,
    );
    await call.abandon();
    assert.match(head.toString('latin1'), /20 size=17179869184\n/);
  });

  test('entries belong to the user, and existing files are replaced whole', rootOnly, async () => {
    const path = room('owned');
    chmodSync(path, 0o777);
    const archive = tarOf({ name: 'file', content: 'new' }, { name: 'link', type: '2', link: 'x' });
    writeFileSync(join(path, 'file'), 'a longer old file');
    linkSync(join(path, 'file'), join(folder, 'other-name'));
    symlinkSync('/etc/passwd', join(path, 'link'));
    await guest.tarWrite({ path, user: '4321' }).sendAll(archive);
    assert.deepEqual(
      [lstatSync(join(path, 'file')).uid, readFileSync(join(path, 'file'), 'utf8')],
      [4321, 'new'],
    );
    assert.equal(readFileSync(join(folder, 'other-name'), 'utf8'), 'a longer old file');
    assert.equal(readlinkSync(join(path, 'link')), 'x');
  });

  test('a directory that was there, also by a link, is filled and keeps what it is', async () => {
    const path = room('existing');
    mkdirSync(join(path, 'usr'));
    mkdirSync(join(path, 'usr/bin'), { mode: 0o711 });
    symlinkSync('usr/bin', join(path, 'bin'));
    await guest
      .tarWrite({ path })
      .sendAll(tarOf({ name: 'bin/', type: '5', mode: 0o755 }, { name: 'bin/tool', content: 'x' }));
    assert.equal(readFileSync(join(path, 'usr/bin/tool'), 'utf8'), 'x');
    assert.equal(lstatSync(join(path, 'usr/bin')).mode & 0o777, 0o711);
    assert.equal(readlinkSync(join(path, 'bin')), 'usr/bin');
  });

  test('A13 archives that mean harm are archive_invalid, and nothing appears outside', async () => {
    const victim = room('victim');
    writeFileSync(join(victim, 'file'), 'untouched');
    const hostile: Record<string, Entry[]> = {
      'an absolute name': [{ name: `${victim}/file`, content: 'bad' }],
      'a name that goes up': [{ name: '../victim/file', content: 'bad' }],
      'a name that goes up in the middle': [{ name: 'a/../../victim/file', content: 'bad' }],
      'a name that goes up in an extended header': [
        { name: 'fine', pax: { path: '../victim/file' }, content: 'bad' },
      ],
      'a link that is led through': [
        { name: 'l', type: '2', link: victim },
        { name: 'l/file', content: 'bad' },
      ],
      'a relative link that is led through': [
        { name: 'l', type: '2', link: '../victim' },
        { name: 'l/file', content: 'bad' },
      ],
      'a link within that is led through': [
        { name: 'd/', type: '5' },
        { name: 'l', type: '2', link: 'd' },
        { name: 'l/file', content: 'bad' },
      ],
      'a chain of links': [
        { name: 'a', type: '2', link: 'b' },
        { name: 'b', type: '2', link: victim },
        { name: 'a/file', content: 'bad' },
      ],
      'a link to itself that is led through': [
        { name: 'a', type: '2', link: 'a' },
        { name: 'a/file', content: 'bad' },
      ],
      'a link under another spelling': [
        { name: 'l', type: '2', link: victim },
        { name: './/l/./file', content: 'bad' },
      ],
      'a directory in place of a link': [
        { name: 'l', type: '2', link: victim },
        { name: 'l/', type: '5' },
        { name: 'l/file', content: 'bad' },
      ],
      'a hard link to a link that is led through': [
        { name: 'l', type: '2', link: victim },
        { name: 'h', type: '1', link: 'l' },
        { name: 'h/file', content: 'bad' },
      ],
      'a hard link outside': [{ name: 'h', type: '1', link: '../victim/file' }],
      'an absolute hard link': [{ name: 'h', type: '1', link: `${victim}/file` }],
      'a hard link through a link': [
        { name: 'l', type: '2', link: victim },
        { name: 'h', type: '1', link: 'l/file' },
      ],
      'a hard link to what was there': [{ name: 'h', type: '1', link: 'present' }],
      'a device': [{ name: 'd', type: '3' }],
      'a block device': [{ name: 'd', type: '4' }],
      'a FIFO': [{ name: 'd', type: '6' }],
      'a sparse file of GNU': [{ name: 'd', type: 'S' }],
      'a setuid bit': [{ name: 's', mode: 0o4755, content: 'bad' }],
      'a setgid bit': [{ name: 's/', type: '5', mode: 0o2755 }],
      'an extended size that lies': [{ name: 'x', pax: { size: '1000000' }, content: 'bad' }],
      'an extended size that hides an entry': [{ name: 'x', pax: { size: '0' }, content: 'bad'.repeat(400) }],
      'a size for all': [{ name: 'x', global: { size: '5' }, content: 'bad' }],
      'a name of 5,000 bytes': [{ name: 'x', pax: { path: 'n/'.repeat(2500) }, content: '' }],
      'a NUL in a name': [{ name: 'x', pax: { path: 'fine\0/../..' }, content: '' }],
    };
    let count = 0;
    for (const [what, entries] of Object.entries(hostile)) {
      const path = room(`hostile-${count++}`);
      writeFileSync(join(path, 'present'), 'present');
      const code = await codeOf(
        guest.tarWrite({ path, root: path }).sendAll(tarOf({ name: 'before', content: 'fine' }, ...entries)),
      );
      assert.equal(code, 'archive_invalid', what);
      assert.equal(readFileSync(join(path, 'before'), 'utf8'), 'fine', 'what was unpacked before stays');
      assert.equal(readFileSync(join(path, 'present'), 'utf8'), 'present');
    }
    assert.deepEqual(readdirSync(victim), ['file']);
    assert.equal(readFileSync(join(victim, 'file'), 'utf8'), 'untouched');
    assert.equal(existsSync(join(folder, 'file')), false);
  });

  test('A13 archives that are cut off or are none at all are archive_invalid, and no half file stays', async () => {
    const path = room('cut');
    const whole = tarOf({ name: 'file', content: 'c'.repeat(2000) });
    for (const length of [0, 1, 511, 512, 1000, 2000, 2560]) {
      assert.equal(
        await codeOf(guest.tarWrite({ path }).sendAll(whole.subarray(0, length))),
        'archive_invalid',
        String(length),
      );
      rmSync(join(path, 'file'), { force: true });
    }
    assert.deepEqual(readdirSync(path), []);
    assert.equal(await codeOf(guest.tarWrite({ path }).sendAll(Buffer.alloc(2048, 'x'))), 'archive_invalid');
    const empty = await guest.tarWrite({ path }).sendAll(Buffer.alloc(1024));
    assert.deepEqual(empty, { entries: 0, bytes: 1024 });
    const half = guest.tarWrite({ path });
    await half.ack;
    await half.send(whole.subarray(0, 1500));
    await half.abandon();
    await guest.stat({ path }).end;
    assert.deepEqual(readdirSync(path), []);
  });

  test('A13 a million empty entries are unpacked no further than the bound', async (context) => {
    const path = room('million');
    // All of the same name, so that the bound is met and not the disk.
    const block = Buffer.concat(Array.from({ length: 1000 }, () => header({ name: 'd/', type: '5' })));
    const call = guest.tarWrite({ path });
    const startMs = performance.now();
    for (let sent = 0; sent < 1001; sent += 1) await call.send(block);
    assert.equal(await call.refusal(), 'archive_invalid');
    context.diagnostic(`${Math.round(performance.now() - startMs)} ms`);
    assert.deepEqual(readdirSync(path), ['d']);
  });

  test('a tree of 20,000 small files goes both ways', async (context) => {
    const path = room('small-files');
    spawnSync(
      'sh',
      ['-c', 'for d in $(seq 20); do mkdir $d; (cd $d; seq 1000 | xargs -n 1000 touch); done'],
      { cwd: path },
    );
    let startMs = performance.now();
    const archive = await pack(path);
    context.diagnostic(`packed in ${Math.round(performance.now() - startMs)} ms`);
    startMs = performance.now();
    const target = room('small-files-out');
    assert.equal((await guest.tarWrite({ path: target }).sendAll(archive)).entries, 20_020);
    context.diagnostic(`unpacked in ${Math.round(performance.now() - startMs)} ms`);
    assert.equal((await guest.list({ path: target, depth: 2 }).end).entries, 20_020);
  });
});

interface Entry {
  readonly name: string;
  readonly type?: string;
  readonly link?: string;
  readonly mode?: number;
  readonly content?: string;
  readonly pax?: Readonly<Record<string, string>>;
  readonly global?: Readonly<Record<string, string>>;
}

function header(entry: Entry, size = 0): Buffer {
  const block = Buffer.alloc(512);
  block.write(entry.name, 0, 100, 'latin1');
  block.write(`${(entry.mode ?? 0o644).toString(8).padStart(7, '0')}\0`, 100);
  block.write('0000000\0'.repeat(2), 108);
  block.write(`${size.toString(8).padStart(11, '0')}\0`, 124);
  block.write('07346545000\0', 136);
  block.write('        ', 148);
  block.write(entry.type ?? '0', 156);
  block.write(entry.link ?? '', 157, 100, 'latin1');
  block.write('ustar\0' + '00', 257);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}

function padded(content: Buffer): Buffer {
  return Buffer.concat([content, Buffer.alloc((512 - (content.length % 512)) % 512)]);
}

function records(values: Readonly<Record<string, string>>): Buffer {
  const lines = Object.entries(values).map(([key, value]) => {
    const rest = key.length + value.length + 3;
    let length = rest + 1;
    while (String(length).length + rest > length) length += 1;
    return `${length} ${key}=${value}\n`;
  });
  return Buffer.from(lines.join(''), 'latin1');
}

function tarOf(...entries: Entry[]): Buffer {
  const parts = entries.flatMap((entry) => {
    const extended = (type: string, values: Readonly<Record<string, string>> | undefined) => {
      if (values === undefined) return [];
      const content = records(values);
      return [header({ name: 'pax', type }, content.length), padded(content)];
    };
    const content = Buffer.from(entry.content ?? '');
    return [
      ...extended('g', entry.global),
      ...extended('x', entry.pax),
      header(entry, content.length),
      padded(content),
    ];
  });
  return Buffer.concat([...parts, Buffer.alloc(1024)]);
}

const describeScript = `
import os, sys, hashlib
root = os.fsencode(sys.argv[1])
def tell(path, name):
    s = os.lstat(path)
    out = [repr(name), oct(s.st_mode)]
    if os.path.islink(path): out.append(repr(os.readlink(path)))
    else: out.append(str(int(s.st_mtime)))
    if os.path.isfile(path) and not os.path.islink(path):
        out += [str(s.st_nlink), hashlib.sha256(open(path, 'rb').read()).hexdigest()]
    print(*out)
for base, dirs, files in os.walk(root):
    dirs.sort(); files.sort()
    for n in sorted(dirs + files): tell(os.path.join(base, n), os.path.relpath(os.path.join(base, n), root))
`;
