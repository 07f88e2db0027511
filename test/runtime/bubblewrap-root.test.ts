import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { accountOf, defaultAccount, withAccount } from '../../src/runtime/bubblewrap/accounts.ts';
import { planDisk } from '../../src/runtime/bubblewrap/bwrap-arguments.ts';
import { buildHostEtc } from '../../src/runtime/bubblewrap/host-etc.ts';
import { planRoot } from '../../src/runtime/bubblewrap/sandbox-root.ts';
import { BubblewrapSandboxes, bubblewrapAsRoot, hostTemplate } from '../support/bubblewrap-sandboxes.ts';
import { guestPath, run, shell } from '../support/docker-sandboxes.ts';

describe('the account of a sandbox', () => {
  test('has the name the template asks for, and is uid 1000', () => {
    assert.deepEqual(accountOf('user'), defaultAccount);
    assert.deepEqual(accountOf(''), defaultAccount);
    assert.deepEqual(accountOf('1000:1000'), defaultAccount);
    assert.deepEqual(accountOf('dev'), { name: 'dev', uid: 1000, gid: 1000, home: '/home/dev' });
  });

  test('B16 can be nobody else: root, another number or another group is an error', () => {
    for (const user of ['root', '0', '0:0', 'root:root', '1001', 'dev:wheel', '../x', 'a b', 'a\nb', 'Root '])
      assert.ok('error' in accountOf(user), user);
  });

  test('takes the place of one with its name or number in the files of a root', () => {
    const files = {
      passwd:
        'root:x:0:0::/root:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh\nuser:x:1007:1007::/u:/bin/sh\n',
      group: 'root:x:0:\nnode:x:1000:\nuser:x:1007:\n',
    };
    assert.deepEqual(withAccount(files, defaultAccount), {
      passwd: 'root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n',
      group: 'root:x:0:\nuser:x:1000:\n',
    });
  });
});

test('the disk of a sandbox is what is asked, and never more than three quarters of its memory', () => {
  const mebibyte = 1_048_576;
  const sum = (resources: { diskMb: number; memoryMb: number }) => {
    const { rootBytes, shmBytes } = planDisk(resources);
    return rootBytes + shmBytes;
  };
  assert.equal(sum({ diskMb: 64, memoryMb: 512 }), 64 * mebibyte);
  assert.equal(sum({ diskMb: 1_024, memoryMb: 512 }), 384 * mebibyte);
  assert.ok(planDisk({ diskMb: 1, memoryMb: 4 }).rootBytes > 0);
});

describe('the /etc of a sandbox over the host', () => {
  let folder: string;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'warmpool-etc-'));
    const host = join(folder, 'host');
    mkdirSync(join(host, 'ssl', 'private'), { recursive: true });
    mkdirSync(join(host, 'ssl', 'certs'));
    mkdirSync(join(host, 'ssh'));
    mkdirSync(join(host, 'alternatives'));
    for (const name of [
      'shadow',
      'gshadow',
      'passwd',
      'group',
      'npmrc',
      'environment',
      'ssh/key',
      'ssl/private/key',
    ])
      writeFileSync(join(host, name), 'secret');
    writeFileSync(join(host, 'ssl', 'certs', 'ca.pem'), 'certificate');
    writeFileSync(join(host, 'services'), 'http 80/tcp\n');
    writeFileSync(join(host, 'profile'), 'not for others', { mode: 0o600 });
    symlinkSync('/usr/bin/vi', join(host, 'alternatives', 'editor'));
    await buildHostEtc(join(folder, 'etc'), defaultAccount, host);
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  test('holds what the list allows and files of our own, and nothing else', () => {
    const names = readdirSync(join(folder, 'etc'), { recursive: true, encoding: 'utf8' }).sort();
    assert.deepEqual(names, [
      'alternatives',
      'alternatives/editor',
      'group',
      'hostname',
      'hosts',
      'mtab',
      'nsswitch.conf',
      'passwd',
      'resolv.conf',
      'services',
      'ssl',
      'ssl/certs',
      'ssl/certs/ca.pem',
    ]);
  });
});

describe('a root below which the service itself lies', () => {
  let root: string;
  before(() => {
    root = mkdtempSync('/var/tmp/warmpool-root-');
    chmodSync(root, 0o755);
    for (const path of ['opt/app', 'opt/warmpool/state', 'var/lib/warmpool', 'var/tmp', 'srv'])
      mkdirSync(join(root, path), { recursive: true });
  });
  after(() => rmSync(root, { recursive: true, force: true }));

  test('has empty places where the service and its state are', async () => {
    const steps = await planRoot({
      template: { rootfs: root, cwd: '/home/user' },
      account: defaultAccount,
      folder: root,
      hostEtc: () => Promise.reject(new Error('not asked for')),
      hidden: [
        join(root, 'opt/warmpool'),
        join(root, 'opt/warmpool/state'),
        join(root, 'var/lib/warmpool'),
        join(root, 'tmp/x'),
        '/usr/lib/x',
      ],
    });
    assert.deepEqual(
      steps.filter(({ kind }) => kind === 'cover').map(({ at }) => at),
      ['/opt/warmpool', '/var/lib/warmpool'],
    );
    const places = steps.filter(({ kind }) => kind === 'bind').map(({ at }) => at);
    assert.ok(places.includes('/var/lib') && !places.includes('/var'), 'the entries of /var one by one');
  });
});

describe('a sandbox over a directory', await bubblewrapAsRoot(), () => {
  let sandboxes: BubblewrapSandboxes;
  let root: string;
  before(() => {
    sandboxes = new BubblewrapSandboxes();
    root = mkdtempSync('/var/tmp/warmpool-root-');
    chmodSync(root, 0o755);
    for (const path of ['bin', 'etc', 'app', 'home/user', 'tmp', 'root', 'var/log'])
      mkdirSync(join(root, path), { recursive: true });
    // The agent needs no library, so its other face is the only program this root needs.
    cpSync(guestPath, join(root, 'bin', 'guest'));
    chmodSync(join(root, 'bin', 'guest'), 0o755);
    writeFileSync(
      join(root, 'etc', 'passwd'),
      'root:x:0:0::/root:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh\n',
    );
    writeFileSync(join(root, 'etc', 'group'), 'root:x:0:\nnode:x:1000:\n');
    writeFileSync(join(root, 'app', 'data'), 'of the root');
    symlinkSync('/etc/shadow', join(root, 'link'));
  });
  after(async () => {
    await sandboxes[Symbol.asyncDispose]();
    rmSync(root, { recursive: true, force: true });
  });

  test('runs its programs as the template’s user, from a directory of its own', async () => {
    const { id, link } = await sandboxes.boot(hostTemplate({ rootfs: root }));
    const { stdout, exit } = await run(link, ['/bin/guest', '--version'], { cwd: '/home/user' });
    assert.deepEqual([exit.exitCode, stdout.split(' ')[0]], [0, 'warmpool-guest']);
    await assert.rejects(run(link, ['/bin/guest'], { user: 'root' }), { code: 'USER_UNAVAILABLE' });
    await assert.rejects(run(link, ['/bin/guest'], { user: 'node' }), { code: 'USER_UNKNOWN' });
    await assert.rejects(run(link, ['/usr/bin/env']), { code: 'COMMAND_NOT_FOUND' });
    await sandboxes.runtime.destroy(id);
  });

  test('with the host’s own programs in it cannot change it, and writes to places of its own', async () => {
    const parts = mkdtempSync('/var/tmp/warmpool-root-');
    chmodSync(parts, 0o755);
    try {
      mkdirSync(join(parts, 'app'));
      writeFileSync(join(parts, 'app', 'data'), 'of the root', { mode: 0o666 });
      chmodSync(join(parts, 'app'), 0o777);
      for (const name of ['bin', 'lib', 'lib64', 'sbin']) symlinkSync(`usr/${name}`, join(parts, name));
      // A door to the host: whoever listens there would answer from inside.
      const server = createServer().listen(join(parts, 'app.sock'));
      await new Promise((resolve) => server.once('listening', resolve));
      mkdirSync(join(parts, 'usr'));
      for (const name of ['bin', 'lib', 'lib64', 'sbin']) mkdirSync(join(parts, 'usr', name));
      for (const program of ['sh', 'touch', 'ls', 'cat']) copyWithLibraries(program, parts);
      const { id, link } = await sandboxes.boot(hostTemplate({ rootfs: parts }));
      const { stdout } = await run(link, [
        '/bin/sh',
        '-c',
        'ls /; cat /app/data; touch /app/x; touch /tmp/x && echo; ls /tmp',
      ]);
      assert.match(stdout, /^app\nbin\ndev\netc\nhome\n/);
      assert.doesNotMatch(stdout, /app\.sock|^link$/m);
      assert.match(stdout, /of the root/);
      assert.match(stdout, /x\n$/);
      assert.deepEqual(readdirSync(join(parts, 'app')), ['data']);
      server.close();
      await sandboxes.runtime.destroy(id);
    } finally {
      rmSync(parts, { recursive: true, force: true });
    }
  });

  test('is refused when it is no directory, no absolute path, or the whole host', async () => {
    for (const rootfs of ['relative/path', '/no/such/directory', '/etc/hostname', '/', '/usr/..', ''])
      await assert.rejects(
        sandboxes.runtime.prepare(hostTemplate({ rootfs })),
        { code: 'IMAGE_MISSING' },
        rootfs,
      );
    const closed = mkdtempSync('/var/tmp/warmpool-closed-');
    try {
      await assert.rejects(sandboxes.runtime.prepare(hostTemplate({ rootfs: closed })), {
        code: 'IMAGE_MISSING',
        message: /closed to others/,
      });
    } finally {
      rmSync(closed, { recursive: true });
    }
  });

  test('B16 a template whose user is root is refused before anything is booted', async () => {
    await assert.rejects(sandboxes.runtime.prepare(hostTemplate({ user: 'root' })), {
      code: 'USER_UNAVAILABLE',
    });
  });
});

/** A program of the host with the libraries it loads, at the same places below another root. */
function copyWithLibraries(program: string, root: string): void {
  const real = realpathSync(`/usr/bin/${program}`);
  cpSync(real, join(root, 'usr/bin', program));
  const listed = spawnSync('ldd', [real], { encoding: 'utf8' }).stdout ?? '';
  for (const [library] of listed.matchAll(/\/[^ )]+/g)) {
    const at = join(root, library.startsWith('/usr/') ? library : `/usr${library}`);
    mkdirSync(dirname(at), { recursive: true });
    cpSync(library, at, { dereference: true });
  }
}

describe('a sandbox over the host', await bubblewrapAsRoot(), () => {
  test('has the user its template names', async () => {
    const sandboxes = new BubblewrapSandboxes();
    try {
      const { link } = await sandboxes.boot(hostTemplate({ user: 'dev', cwd: '/home/dev' }));
      const said = await shell(link, 'id -un; echo ~; pwd', {
        user: 'dev',
        cwd: '/home/dev',
        env: { HOME: '/home/dev' },
      });
      assert.equal(said, 'dev\n/home/dev\n/home/dev\n');
    } finally {
      await sandboxes[Symbol.asyncDispose]();
    }
  });
});
