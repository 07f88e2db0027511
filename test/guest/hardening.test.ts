import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { buildGuest } from '../../guest/build.mjs';
import { buildProbe, type ProbeName } from '../../guest/build-test.mjs';
import { type DriverOptions, GuestDriver } from './guest-driver.ts';
import { isAlive } from './host-processes.ts';

/**
 * The rules of the guest that hold on every runtime, tried on the bare agent. The runtimes' own tests run the same probes
 * inside their sandboxes.
 */
const rootOnly = { skip: process.getuid?.() === 0 ? false : 'needs root' };
const unprivilegedUid = 64_998;

interface ProbeRow {
  readonly row: string;
  readonly want: string;
  readonly got: string;
  readonly ok: boolean;
}

describe('hardening of the guest', () => {
  let guest: GuestDriver;
  let folder: string;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'warmpool-guest-hardening-'));
    chmodSync(folder, 0o755);
    guest = await GuestDriver.start();
  });
  after(async () => {
    await guest[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Where every user may run it. */
  function probe(name: ProbeName): string {
    const path = join(folder, name);
    copyFileSync(buildProbe(name), path);
    chmodSync(path, 0o755);
    return path;
  }

  async function statusOf(options: { user?: string } = {}): Promise<Map<string, string>> {
    const { stdout } = await guest.run(['cat', '/proc/self/status'], options);
    return new Map(
      stdout
        .toString()
        .split('\n')
        .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]),
    );
  }

  test('G1 neither a command of the guest’s own uid nor of another can open it, trace it or take its descriptors', async () => {
    const pid1Probe = probe('pid1-probe');
    await using unprivileged = await GuestDriver.start({ uid: unprivilegedUid });
    const attempts: [GuestDriver, string][] = [[unprivileged, '']];
    // As host root this says nothing about the same uid: there a command would have the capability to trace.
    if (rootOnly.skip === false) attempts.push([guest, ''], [guest, 'nobody']);
    for (const [target, user] of attempts) {
      const { stdout, exit } = await target.run([pid1Probe, String(target.pid)], { user });
      assert.equal(exit?.exitCode, 0, stdout.toString());
      assert.equal(stdout.toString().trim().split('\n').length, 6);
    }
  });

  test('G1 it stays closed after it has started processes of other users', rootOnly, async () => {
    for (const user of ['nobody', '64321', '']) await guest.run(['true'], { user });
    const { uid, gid } = ownerOf(`/proc/${guest.pid}/environ`);
    assert.deepEqual([uid, gid], [0, 0]);
    await using unprivileged = await GuestDriver.start({ uid: unprivilegedUid });
    await unprivileged.run(['true']);
    assert.equal(ownerOf(`/proc/${unprivileged.pid}/environ`).uid, 0, 'owned by root: not dumpable');
  });

  test('G3 no_new_privs and the filter are on for any command', async () => {
    for (const user of process.getuid?.() === 0 ? ['', 'nobody'] : ['']) {
      const status = await statusOf({ user });
      assert.equal(status.get('NoNewPrivs'), '1');
      assert.equal(status.get('Seccomp'), '2');
    }
  });

  test('G4 a command has no capability, whoever it runs as', rootOnly, async () => {
    for (const user of ['', 'root', 'nobody']) {
      const status = await statusOf({ user });
      for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapAmb'])
        assert.equal(BigInt(`0x${status.get(set)}`), 0n, set);
    }
  });

  test(
    'G4 commands of root keep exactly the capabilities the template lists, and others none',
    rootOnly,
    async () => {
      const chownAndKill = 0x21n;
      await using capable = await GuestDriver.start({
        args: [`--root-capabilities=0x${chownAndKill.toString(16)}`],
      });
      const effective = async (user: string) => {
        const { stdout } = await capable.run(['grep', 'CapEff', '/proc/self/status'], { user });
        return BigInt(`0x${stdout.toString().split(':')[1]?.trim()}`);
      };
      assert.equal(await effective(''), chownAndKill);
      assert.equal(await effective('nobody'), 0n);
    },
  );

  test('G5 a command has descriptors 0 to 2 and its own listing’s, nothing more', async () => {
    const { stdout } = await guest.run(['ls', '/proc/self/fd'], { stdin: true });
    assert.equal(stdout.toString(), '0\n1\n2\n3\n');
  });

  test('G5 a working directory among descriptors is refused by any name', async () => {
    const link = join(folder, 'link');
    symlinkSync('/proc/self/fd', link);
    for (let fd = 3; fd <= 20; fd += 1) {
      for (const cwd of [
        `/proc/self/fd/${fd}`,
        `//proc/./thread-self/fd/${fd}`,
        `/tmp/../proc/self/fd/${fd}/..`,
        `${link}/${fd}`,
      ]) {
        assert.equal(await guest.refusal(['true'], { cwd }), 'cwd_invalid', cwd);
      }
    }
  });

  test('G6 a command gets no core file, and the limits the guest was started with', async () => {
    const limits = 'ulimit -c; ulimit -n; ulimit -f';
    const { stdout } = await guest.run(['bash', '-c', limits]);
    assert.deepEqual(stdout.toString().split('\n').slice(0, 1), ['0']);
    await using limited = await GuestDriver.start({ args: ['--nofile=100', '--fsize=1048576'] });
    assert.equal((await limited.run(['bash', '-c', limits])).stdout.toString(), '0\n100\n1024\n');
    const tooLarge = await limited.run(['sh', '-c', `head -c 2000000 /dev/zero > ${join(folder, 'large')}`]);
    assert.notEqual(tooLarge.exit?.exitCode, 0);
    assert.equal((await limited.run(['echo', 'fine'])).stdout.toString(), 'fine\n');
  });

  test('G7 nothing of a request shows in the guest’s own environment or arguments', async () => {
    const canary = 'c4n4ry-of-the-claim';
    await guest.run(['true'], { env: { PATH: '/bin', SECRET: canary } });
    for (const file of ['environ', 'cmdline']) {
      assert.ok(!readFileSync(`/proc/${guest.pid}/${file}`, 'latin1').includes(canary));
    }
  });

  test('G9 as PID 1 a signal from inside does not end it, one from outside does', rootOnly, async () => {
    await using guest = await GuestDriver.start(asFirstProcess());
    const { stdout } = await guest.run([
      'sh',
      '-c',
      'kill -TERM 1; kill -KILL 1; kill -STOP 1; kill -INT 1; echo sent',
    ]);
    assert.equal(stdout.toString(), 'sent\n');
    await guest.roundTrip();
    const everybody = await guest.run(['sh', '-c', 'trap "" TERM; kill -TERM -1; echo alive']);
    assert.equal(everybody.stdout.toString(), 'alive\n');
    const inside = Number(readFileSync(`/proc/${guest.pid}/task/${guest.pid}/children`, 'utf8'));
    process.kill(inside, 'SIGTERM');
    assert.equal(await guest.ended(), 0);
  });

  test('as PID 1 it reaps what daemons leave behind and takes all of them with it', rootOnly, async () => {
    await using guest = await GuestDriver.start(asFirstProcess());
    const daemons = await guest.run([
      'sh',
      '-c',
      'setsid sh -c "sleep 0.1 & sleep 1000" >/dev/null 2>&1 & echo $$',
    ]);
    assert.equal(daemons.exit?.exitCode, 0);
    const inside = Number(readFileSync(`/proc/${guest.pid}/task/${guest.pid}/children`, 'utf8'));
    const children = () =>
      readFileSync(`/proc/${inside}/task/${inside}/children`, 'utf8').trim().split(' ').map(Number);
    const [daemon] = children();
    assert.ok(daemon !== undefined && isAlive(daemon));
    guest.input.end();
    assert.equal(await guest.ended(), 0);
    assert.ok(!isAlive(daemon));
  });

  test('works in an image that holds nothing: no /dev/null, no /etc, no shell', rootOnly, async () => {
    const root = join(folder, 'scratch');
    mkdirSync(root);
    copyFileSync(buildGuest().path, join(root, 'warmpool-guest'));
    copyFileSync(buildProbe('true'), join(root, 'true'));
    await using bare = await GuestDriver.start({
      binary: '/usr/sbin/chroot',
      args: [root, '/warmpool-guest'],
    });
    for (const user of ['', '1000', '0:5'])
      assert.equal((await bare.run(['/true'], { user })).exit?.exitCode, 0);
    assert.equal(await bare.refusal(['/true'], { user: 'root' }), 'user_unknown');
    assert.equal(await bare.refusal(['sh']), 'command_not_found');
  });

  test('every row of the system call policy refuses what it says and allows its neighbour', async (context) => {
    const { stdout, exit } = await guest.run([probe('seccomp-probe')]);
    const rows = parseRows(stdout);
    assert.deepEqual(
      rows.filter(({ ok }) => !ok),
      [],
    );
    assert.equal(exit?.exitCode, 0);
    assert.ok(rows.length > 100);
    context.diagnostic(`${rows.length} rows`);
  });

  test('the probe itself notices when there is no filter', () => {
    const { stdout } = spawnSync(buildProbe('seccomp-probe'), { encoding: 'utf8' });
    const refused = parseRows(Buffer.from(stdout)).filter(
      ({ want }) => want === 'EPERM' || want === 'EAFNOSUPPORT',
    );
    assert.ok(refused.length > 60);
    assert.ok(refused.every(({ ok }) => !ok));
  });
});

/** The agent as the first process of a namespace of its own; ends with `unshare`, which reports its exit code. */
function asFirstProcess(): DriverOptions {
  return { binary: 'unshare', args: ['--pid', '--fork', '--kill-child', buildGuest().path] };
}

function parseRows(stdout: Buffer): ProbeRow[] {
  return stdout
    .toString()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as ProbeRow);
}

function ownerOf(path: string): { uid: number; gid: number } {
  const { stdout } = spawnSync('stat', ['-c', '%u %g', path], { encoding: 'utf8' });
  const [uid, gid] = stdout.trim().split(' ').map(Number);
  return { uid: uid ?? -1, gid: gid ?? -1 };
}
