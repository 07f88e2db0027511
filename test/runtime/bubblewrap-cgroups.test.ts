import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { type CgroupTree, NoCgroupTree } from '../../src/runtime/cgroup/cgroup-tree.ts';
import { CgroupV2Tree } from '../../src/runtime/cgroup/cgroup-v2-tree.ts';
import { findCgroups, parseCgroupMounts } from '../../src/runtime/cgroup/find-cgroups.ts';
import { requirement } from '../support/requirements.ts';

const nodeKey = () => `test-${randomBytes(6).toString('hex')}`;

test('the kernel’s account of mounts tells the hierarchies and their controllers', () => {
  const lines = [
    '30 23 0:26 / /sys/fs/cgroup ro,nosuid shared:9 - tmpfs tmpfs ro,mode=755',
    '31 30 0:27 / /sys/fs/cgroup/unified rw,nosuid shared:10 - cgroup2 cgroup2 rw,nsdelegate',
    '35 30 0:31 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:14 - cgroup cgroup rw,cpu,cpuacct',
    '36 30 0:32 / /a\\040b rw shared:15 - cgroup cgroup rw,memory',
    '',
  ];
  assert.deepEqual(
    parseCgroupMounts(lines.join('\n')).map(({ mountPoint, version, controllers }) => [
      mountPoint,
      version,
      [...controllers],
    ]),
    [
      ['/sys/fs/cgroup/unified', 'v2', ['rw', 'nsdelegate']],
      ['/sys/fs/cgroup/cpu,cpuacct', 'v1', ['rw', 'cpu', 'cpuacct']],
      ['/a b', 'v1', ['rw', 'memory']],
    ],
  );
});

test('a host without control groups is said to enforce nothing', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'warmpool-mounts-'));
  const mountInfoPath = join(folder, 'mountinfo');
  writeFileSync(mountInfoPath, '22 1 8:1 / / rw - ext4 /dev/sda1 rw\n');
  const tree = await findCgroups({ nodeKey: nodeKey(), mountInfoPath });
  assert.ok(tree instanceof NoCgroupTree);
  assert.equal(tree.enforced.size, 0);
  rmSync(folder, { recursive: true });
});

describe('control groups of this host', await requirement('root'), () => {
  test('B6 killing a group ends daemons and a bounded fork bomb, and removing it is fine twice', async () => {
    const tree = await findCgroups({ nodeKey: nodeKey() });
    await killsAll(tree);
  });

  const unified = parseCgroupMounts(readFileSync('/proc/self/mountinfo', 'utf8')).find(
    ({ version }) => version === 'v2',
  );

  test('B6 the second generation kills by its one order', {
    skip: unified === undefined ? 'no unified hierarchy is mounted' : false,
  }, async () => {
    const root = unified?.mountPoint ?? '';
    // Without its controllers: on a hybrid host the first generation has them, and killing needs none.
    const tree = new CgroupV2Tree({ folder: join(root, 'warmpool', nodeKey()), controllers: new Set() });
    await killsAll(tree);
  });

  async function killsAll(tree: CgroupTree): Promise<void> {
    const limits = { cpu: 0.5, memoryMb: 64, pids: 20 };
    await tree.create('one', limits);
    await tree.create('one', limits);
    assert.deepEqual(await tree.list(), ['one']);
    assert.equal(await tree.isPopulated('one'), false);
    // It waits until it is in the group; then a daemon, and children that fork again when one of them dies.
    const bomb = tree.enforced.has('pids')
      ? 'while (1) { fork; select undef, undef, undef, 0.01 }'
      : 'sleep 600';
    const child = spawn(
      'perl',
      ['-e', `<STDIN>; if (!fork) { require POSIX; POSIX::setsid(); fork; sleep 600 } ${bomb}`],
      {
        stdio: ['pipe', 'ignore', 'ignore'],
      },
    );
    const ended = once(child, 'exit');
    assert.ok(child.pid !== undefined);
    await tree.admit('one', child.pid);
    child.stdin.end('\n');
    assert.equal(await tree.isPopulated('one'), true);
    await tree.kill('one');
    await ended;
    assert.equal(await tree.isPopulated('one'), false);
    await tree.kill('one');
    await tree.remove('one');
    await tree.remove('one');
    await tree.kill('one');
    assert.deepEqual(await tree.list(), []);
    await tree.removeFolder();
    assert.equal(existsSync(`/proc/${child.pid}`), false);
  }
});
