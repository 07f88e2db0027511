import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { packageRoot } from '../../src/package-root.ts';
import {
  BubblewrapSandboxes,
  bubblewrapAsRoot,
  eventually,
  groupsNamed,
  hostTemplate,
  hostUidOf,
  processesOf,
  rootProcessesOf,
  tracesOf,
} from '../support/bubblewrap-sandboxes.ts';
import { type RunningSandbox, run, shell } from '../support/docker-sandboxes.ts';

/** HARDENING.md, section 4: the rows of bubblewrap, each with the proof that the table asks for. */
describe('the walls of a bubblewrap sandbox', await bubblewrapAsRoot(), () => {
  let sandboxes: BubblewrapSandboxes;
  let sandbox: RunningSandbox;
  let hostUid: number;
  let folder: string;
  const servers: Server[] = [];

  before(async () => {
    sandboxes = new BubblewrapSandboxes();
    sandbox = await sandboxes.boot();
    hostUid = hostUidOf(sandboxes, sandbox.id);
    folder = mkdtempSync('/var/tmp/warmpool-walls-');
    chmodSync(folder, 0o755);
  });
  after(async () => {
    for (const server of servers) server.close();
    await sandboxes?.[Symbol.asyncDispose]();
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  });

  async function listening(path: string): Promise<void> {
    const server = createServer((socket) => socket.end('PONG'));
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(path, resolve));
  }

  test('B1 each sandbox has a host uid of its own, never 0, without groups, lent while a process of it is left', async () => {
    const other = await sandboxes.boot();
    const otherUid = hostUidOf(sandboxes, other.id);
    assert.notEqual(otherUid, hostUid);
    for (const uid of [hostUid, otherUid]) {
      assert.ok(uid >= 700_000_000 && uid < 700_065_536);
      const { outer, inner } = rootProcessesOf(uid);
      for (const pid of [outer, inner]) {
        const status = readFileSync(`/proc/${pid}/status`, 'utf8');
        assert.match(status, new RegExp(`^Uid:\\s+${uid}\\s+${uid}\\s+${uid}\\s+${uid}$`, 'm'));
        assert.match(status, new RegExp(`^Gid:\\s+${uid}\\s+${uid}\\s+${uid}\\s+${uid}$`, 'm'));
        assert.match(status, /^Groups:\s*$/m);
      }
    }
    assert.ok(tracesOf(sandboxes, other.id, otherUid).includes(`loan of uid ${otherUid}`));
    await sandboxes.runtime.destroy(other.id);
    assert.deepEqual(processesOf(otherUid), []);
    assert.deepEqual(tracesOf(sandboxes, other.id, otherUid), []);
  });

  test('B1 B2 nothing below /proc/sys is writable, and it cannot be uncovered', async () => {
    const { stdout } = await run(sandbox.link, ['find', '/proc/sys', '-writable']);
    assert.equal(stdout, '');
    const { exit } = await run(sandbox.link, ['umount', '/proc/sys']);
    assert.notEqual(exit.exitCode, 0);
    const { stdout: sysrq } = await run(sandbox.link, [
      'find',
      '/proc',
      '-maxdepth',
      '1',
      '-type',
      'f',
      '-writable',
    ]);
    const masks = /^\/proc\/(keys|key-users|kallsyms|timer_list)\n/gm;
    assert.equal(sysrq.replace(masks, ''), '', 'nor sysrq-trigger or another file of /proc itself');
  });

  test('B3 keys, kernel addresses and timers of the host cannot be read, and there is no /sys', async () => {
    for (const name of ['keys', 'key-users', 'kallsyms', 'timer_list']) {
      const { exit, stdout, stderr } = await run(sandbox.link, ['cat', `/proc/${name}`]);
      assert.deepEqual([exit.exitCode, stdout], [1, ''], name);
      assert.match(stderr, /Permission denied/);
    }
    assert.equal((await run(sandbox.link, ['ls', '/sys'])).exit.exitCode, 2);
  });

  test('B4 a command has no terminal of the host, and cannot put keys into any', async () => {
    const script =
      'open(my $t, "+<", "/dev/tty") and print "a terminal\\n"; my $c = "x"; ' +
      'for my $request (0x5412, 0x541c, 0x5423) { ioctl(STDIN, $request, $c) and print "done\\n"; print 0 + $!, "\\n" }';
    assert.equal(
      await shell(sandbox.link, `perl -e '${script}' < /dev/null`),
      '1\n1\n1\n',
      'EPERM, EPERM, EPERM',
    );
    const { inner } = rootProcessesOf(hostUid);
    const session = (pid: number) => readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[3];
    assert.equal(session(inner), String(inner), 'process 1 leads a session of its own');
    assert.notEqual(session(rootProcessesOf(hostUid).outer), session(process.pid));
  });

  test('B5 a killed outer process takes all of the sandbox with it', async () => {
    const { id, link } = await sandboxes.boot();
    const uid = hostUidOf(sandboxes, id);
    await shell(link, '(setsid sleep 600 > /dev/null 2>&1 < /dev/null &) ; true');
    process.kill(rootProcessesOf(uid).outer, 'SIGKILL');
    await eventually(() => processesOf(uid).length === 0, 'all of it ends');
    await sandboxes.runtime.destroy(id);
  });

  test('B5 a worker thread is refused: its sandboxes would die with it', async () => {
    // A worker does not inherit the loader of TypeScript.
    const script = `
      const { parentPort, workerData } = require('node:worker_threads');
      import('tsx/esm/api')
        .then(({ register }) => (register(), import(workerData)))
        .then(({ BwrapProcess }) => BwrapProcess.start({ argumentsPath: '/dev/null', bwrapPath: '/bin/true' }))
        .then(() => parentPort.postMessage('started'), (error) => parentPort.postMessage(String(error)));`;
    const workerData = join(packageRoot(), 'src/runtime/bubblewrap/bwrap-process.ts');
    const worker = new Worker(script, { eval: true, workerData });
    const said = await new Promise((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
    assert.match(String(said), /main thread/);
    await worker.terminate();
  });

  test('B6 daemons that forked twice and a bounded fork bomb are gone after destroy', async () => {
    const { id, link } = await sandboxes.boot(hostTemplate({ resources: { pids: 24, cpu: 0.5 } }));
    const uid = hostUidOf(sandboxes, id);
    await shell(link, '(setsid sh -c "(setsid sleep 600 &)" > /dev/null 2>&1 < /dev/null &) ; true');
    // Each child forks again as soon as one ends; the limit on pids and the pause bound what it costs.
    // The first one stays, or the whole family might die out before it has grown.
    const bomb =
      'my $first = $$; while (1) { fork; select undef, undef, undef, 0.02; exit if $$ != $first && rand() < 0.1 }';
    await shell(link, `(setsid perl -e '${bomb}' > /dev/null 2>&1 < /dev/null &) ; true`);
    await eventually(() => processesOf(uid).length >= 6, 'it runs');
    assert.ok(processesOf(uid).length <= 25);
    await sandboxes.runtime.destroy(id);
    assert.deepEqual(tracesOf(sandboxes, id, uid), []);
  });

  test('B7 all processes of a sandbox are in its control groups, the first one included', async () => {
    await shell(sandbox.link, '(setsid sleep 600 > /dev/null 2>&1 < /dev/null &) ; true');
    const groups = groupsNamed(sandbox.id);
    assert.ok(groups.length > 0);
    for (const group of groups) {
      const inGroup = () => readFileSync(join(group, 'cgroup.procs'), 'utf8').trim().split('\n').map(Number);
      // Another command may end between the two looks.
      const isSame = () => inGroup().sort().join() === processesOf(hostUid).sort().join();
      await eventually(isSame, `the processes of ${group} are those of the sandbox`);
    }
  });

  test('B8 every file system that can be written has a bound, and filling it hurts nobody else', async () => {
    const { id, link } = await sandboxes.boot();
    const mounts = (await shell(link, 'cat /proc/self/mounts'))
      .trim()
      .split('\n')
      .map((line) => line.split(' '));
    const writable = mounts.filter(([, , , options]) => options?.split(',').includes('rw'));
    const bounded = writable.filter(([, , type]) => type === 'tmpfs');
    assert.deepEqual(bounded.map(([, at]) => at).sort(), ['/', '/dev/shm']);
    for (const [, at, , options] of bounded) assert.match(options ?? '', /(^|,)size=\d+k/, at);
    for (const [, at, type] of writable) {
      if (type === 'devtmpfs') assert.match(at ?? '', /^\/dev\/(null|zero|full|random|urandom|tty|console)$/);
      else assert.ok(['tmpfs', 'proc', 'devpts'].includes(type ?? ''), `${at} is ${type}`);
    }
    for (const at of ['/home/user', '/dev/shm']) {
      const { stderr } = await run(link, ['dd', 'if=/dev/zero', `of=${at}/big`, 'bs=1M', 'count=128']);
      assert.match(stderr, /No space left on device/, at);
    }
    assert.notEqual((await run(link, ['touch', '/dev/file'])).exit.exitCode, 0);
    assert.equal(await shell(sandbox.link, 'touch /tmp/still && echo room'), 'room\n');
    await sandboxes.runtime.destroy(id);
  });

  test('B9 there is no network but loopback, no abstract socket of the host, and no AF_VSOCK', async () => {
    const interfaces = await shell(sandbox.link, 'tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d " "');
    assert.equal(interfaces, 'lo\n');
    await listening(`\0warmpool-${sandbox.id}`);
    const script =
      'use Socket; socket(my $s, AF_UNIX, SOCK_STREAM, 0) or die; ' +
      `print connect($s, pack("S a*", AF_UNIX, "\\0warmpool-${sandbox.id}")) ? "reached" : "$!", "\\n"; ` +
      'socket(my $v, 40, SOCK_STREAM, 0) and print "vsock"; print 0 + $!, "\\n"';
    assert.equal(
      await shell(sandbox.link, `perl -e '${script}'`),
      'Connection refused\n97\n',
      'EAFNOSUPPORT is 97',
    );
  });

  test('B10 of the host there is /usr and an allowed /etc: no socket, no setuid program, no state of ours', async () => {
    const door = join(folder, 'door.sock');
    await listening(door);
    chmodSync(door, 0o777);
    const top = (await shell(sandbox.link, 'ls -A /')).trim().split('\n');
    const allowed = /^(\.warmpool|bin|dev|etc|home|lib|lib32|lib64|libx32|proc|run|sbin|tmp|usr|var)$/;
    assert.deepEqual(
      top.filter((name) => !allowed.test(name)),
      [],
    );
    for (const path of [
      door,
      packageRoot(),
      sandboxes.stateFolder,
      '/root',
      '/etc/shadow',
      '/etc/ssh',
      '/etc/sudoers',
    ])
      assert.notEqual((await run(sandbox.link, ['ls', '-d', path])).exit.exitCode, 0, path);
    // What is in /usr is the host's own, and as large as that: to walk it all took a minute.
    const elsewhere = ['(', '-path', '/proc', '-o', '-path', '/usr', ')', '-prune', '-o'];
    assert.equal((await run(sandbox.link, ['find', '/', ...elsewhere, '-type', 's', '-print'])).stdout, '');
    const files = await run(sandbox.link, ['find', '/', '-xdev', '-type', 'f', '-readable']);
    assert.equal(
      files.stdout.replace(/^\/(tmp\/.*|\.warmpool\/guest)\n/gm, ''),
      '',
      'no readable file beyond /usr and /etc',
    );
    const mounts = await shell(sandbox.link, 'cat /proc/self/mounts');
    for (const line of mounts.trim().split('\n')) assert.match(line, /nosuid/, 'so no program is setuid');
    const etc = await shell(sandbox.link, 'find /etc -type f -not -readable');
    assert.equal(etc, '');
  });

  test('B11 no user namespace can be made inside', async () => {
    const { exit } = await run(sandbox.link, ['unshare', '-U', 'true']);
    assert.notEqual(exit.exitCode, 0);
    assert.equal((await run(sandbox.link, ['unshare', '-n', 'true'])).exit.exitCode, 1);
  });

  test('B12 the options of bubblewrap show in no process list', () => {
    const { outer, inner } = rootProcessesOf(hostUid);
    const words = (pid: number) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').join(' ').trim();
    assert.equal(
      words(outer),
      `warmpool-${sandbox.id} --args 3 --info-fd 4 --block-fd 5 --hostname ${sandbox.id} -- /.warmpool/guest --link=once`,
    );
    assert.equal(words(inner), '/.warmpool/guest --link=once');
    assert.equal(readFileSync(`/proc/${outer}/environ`, 'utf8').replaceAll('\0', ' ').trim(), '');
  });

  test('B14 no source of a mount lies where anybody but root could exchange it', () => {
    const words = argumentsOf(sandboxes).flatMap((path) => readFileSync(path, 'utf8').split('\0'));
    const sources = words.flatMap((word, index) => (word === '--ro-bind' ? [words[index + 1] ?? ''] : []));
    assert.ok(sources.length > 5 && !words.includes('--bind') && !words.includes('--dev-bind'));
    for (const source of sources) {
      // A device: its name is in a folder of root's, and its owner can only change its mode.
      for (let path = source === '/dev/null' ? '/dev' : source; ; path = join(path, '..')) {
        const { uid, mode } = statSync(path);
        assert.equal(uid, 0, path);
        const isSticky = (mode & 0o1000) !== 0;
        assert.ok((mode & 0o022) === 0 || isSticky, `${path} of ${source}`);
        if (path === '/') break;
      }
    }
  });

  test('B16 another user is an error, and no mount gives devices or setuid', async () => {
    for (const user of ['root', '0', 'nobody'])
      await assert.rejects(run(sandbox.link, ['id'], { user }), { code: 'USER_UNAVAILABLE' }, user);
    await assert.rejects(run(sandbox.link, ['id'], { user: 'stranger' }), { code: 'USER_UNKNOWN' });
    const mounts = (await shell(sandbox.link, 'cat /proc/self/mounts')).trim().split('\n');
    for (const line of mounts) {
      const [, at = '', type = '', options = ''] = line.split(' ');
      assert.ok(options.split(',').includes('nosuid'), at);
      if (type === 'tmpfs' || at === '/usr' || at === '/etc')
        assert.ok(options.split(',').includes('nodev'), at);
    }
    assert.notEqual((await run(sandbox.link, ['mknod', '/tmp/disk', 'b', '8', '0'])).exit.exitCode, 0);
  });

  test('the state folder is closed to sandboxes, and their names are not listed to them', () => {
    mkdirSync(join(folder, 'x'));
    const own = statSync(join(sandboxes.stateFolder, 'bubblewrap', 'sandboxes'));
    assert.equal(own.mode & 0o077, 0, 'sandboxes/');
  });
});

/** The prepared options, wherever the state folder could be reached. */
function argumentsOf(sandboxes: BubblewrapSandboxes): string[] {
  const places = [join(sandboxes.stateFolder, 'bubblewrap'), '/var/lib/warmpool-reach'];
  return places.flatMap((place) => {
    try {
      return readdirSync(place, { recursive: true, encoding: 'utf8' })
        .filter((name) => name.endsWith('bwrap-arguments'))
        .map((name) => join(place, name));
    } catch {
      return [];
    }
  });
}
