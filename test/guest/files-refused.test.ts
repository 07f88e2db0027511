import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { buildGuest } from '../../guest/build.mjs';
import { until } from '../support/until.ts';

import { codeOf, FileGuest } from './file-driver.ts';
import { workFolder } from './work-folder.ts';

const isRoot = process.getuid?.() === 0;
const rootOnly = { skip: isRoot ? false : 'needs root' };

describe('file requests that are refused, and where they are not', () => {
  const { place, room } = workFolder();
  let guest: FileGuest;
  before(async () => {
    guest = await FileGuest.start();
  });
  after(() => guest[Symbol.asyncDispose]());

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
    // What a refused write had taken is free once its worker has ended, which is a moment behind its answer.
    await until(() => {
      const { blocks, bfree } = statfsSync(`/proc/${cramped.process.pid}/root${full}`);
      return bfree === blocks;
    }, 'the room of the refused write');
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
      await until(() => data().length === 2, 'the abandoned write to be undone');
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
});

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
