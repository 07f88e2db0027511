import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { packageRoot } from '../../src/package-root.ts';
import { findProgram } from '../support/docker-engine.ts';

const why =
  process.getuid?.() !== 0
    ? 'needs root'
    : findProgram('bwrap') === null
      ? 'bubblewrap is not installed'
      : false;

interface Machine {
  /** A file of the caller's instead of bwrap's, so that it counts as missing. */
  readonly lacksBubblewrap?: boolean;
  readonly osRelease?: string;
  readonly policy?: string;
  readonly aptExits?: number;
  readonly user?: number;
  readonly env?: Record<string, string>;
}

/** Runs the script on a machine made up with bubblewrap: its own /usr/sbin, apt-get and /etc/os-release. */
function provision(goal: string, machine: Machine = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'warmpool-provision-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  const place = (name: string, text: string, mode = 0o644) => {
    writeFileSync(join(folder, name), text, { mode });
    return join(folder, name);
  };
  const sbin = join(folder, 'sbin');
  mkdirSync(sbin);
  const policyFile = join(sbin, 'policy-rc.d');
  if (machine.policy !== undefined) writeFileSync(policyFile, machine.policy, { mode: 0o755 });
  const apt = place(
    'apt-get',
    `#!/bin/sh
echo "$@" >> "${folder}/apt.log"
if [ -e /usr/sbin/policy-rc.d ]; then sh /usr/sbin/policy-rc.d; echo "services: $?" >> "${folder}/apt.log"; fi
echo 'E: no such thing' >&2
exit ${machine.aptExits ?? 0}
`,
    0o755,
  );
  const osRelease = place('os-release', machine.osRelease ?? 'PRETTY_NAME="Debian"\nID=debian\n');
  const missing = place('not-executable', '');
  const run = () =>
    spawnSync(
      'bwrap',
      [
        ...['--dev-bind', '/', '/', '--bind', sbin, '/usr/sbin', '--ro-bind', apt, '/usr/bin/apt-get'],
        ...['--ro-bind', osRelease, '/etc/os-release'],
        ...(machine.lacksBubblewrap === false ? [] : ['--ro-bind', missing, findProgram('bwrap') ?? '']),
        ...(machine.user === undefined ? [] : ['--unshare-user', '--uid', String(machine.user)]),
        ...['--', process.execPath, join(packageRoot(), 'scripts/provision.mjs'), goal],
      ],
      { encoding: 'utf8', env: { PATH: '/usr/bin:/bin', ...machine.env } },
    );
  let result = run();
  // It goes through all mounts of the machine, and gives up when one goes away meanwhile: other tests make and take some.
  for (let tries = 1; tries < 10 && result.stderr.startsWith('bwrap: '); tries += 1) result = run();
  const log = join(folder, 'apt.log');
  return {
    status: result.status,
    said: result.stderr.trim(),
    apt: existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n') : [],
    policyAfter: existsSync(policyFile) ? readFileSync(policyFile, 'utf8') : null,
  };
}

const installs = '-q -o DPkg::Lock::Timeout=120 install -y --no-install-recommends bubblewrap';

describe('provisioning', { skip: why }, () => {
  test('nothing is said and nothing done when everything is there', () => {
    const { status, said, apt } = provision('start', { lacksBubblewrap: false });
    assert.deepEqual([status, said, apt], [0, '', []]);
  });

  test('what is missing is installed, said before in one line, and no service starts', () => {
    const { status, said, apt, policyAfter } = provision('start');
    assert.equal(status, 0);
    assert.equal(
      said,
      'warmpool: installing with apt-get: bubblewrap (runs sandboxes without a daemon); WARMPOOL_PROVISION=0 turns this off',
    );
    assert.deepEqual(apt, [installs, 'services: 101']);
    assert.equal(policyAfter, null);
  });

  test('a policy of the machine’s owner is left as it is', () => {
    const { apt, policyAfter } = provision('start', { policy: '#!/bin/sh\nexit 42\n' });
    assert.deepEqual(apt, [installs, 'services: 42']);
    assert.equal(policyAfter, '#!/bin/sh\nexit 42\n');
  });

  test('a policy that a killed run of ours left behind is taken away', () => {
    const mark = '# made by warmpool scripts/provision.mjs for the time of one apt-get run';
    assert.equal(provision('start', { policy: `#!/bin/sh\n${mark}\nexit 101\n` }).policyAfter, null);
  });

  test('WARMPOOL_PROVISION=0 says what to install, installs nothing and does not fail', () => {
    const { status, said, apt } = provision('start', { env: { WARMPOOL_PROVISION: '0' } });
    assert.equal(status, 0);
    assert.match(said, /missing: bwrap/);
    assert.match(said, /install with: apt-get install -y --no-install-recommends bubblewrap$/);
    assert.deepEqual(apt, []);
  });

  test('who is not root is told the command with sudo', () => {
    const { status, said, apt } = provision('start', { user: 1_000 });
    assert.equal(status, 0);
    assert.match(said, /install with: sudo apt-get install/);
    assert.deepEqual(apt, []);
  });

  test('on another system than Debian nothing is run', () => {
    const { status, said, apt } = provision('start', { osRelease: 'ID=fedora\nID_LIKE="rhel"\n' });
    assert.equal(status, 0);
    assert.match(said, /install what Debian calls: bubblewrap$/);
    assert.deepEqual(apt, []);
  });

  test('Ubuntu and its children count as Debian', () => {
    assert.equal(provision('start', { osRelease: 'ID=linuxmint\nID_LIKE="ubuntu debian"\n' }).apt.length, 2);
  });

  test('when apt-get fails its lists are renewed once, and then it is said what to do', () => {
    const { status, said, apt, policyAfter } = provision('start', { aptExits: 100 });
    assert.equal(status, 0);
    assert.deepEqual(
      apt.filter((line) => !line.startsWith('services')),
      [installs, '-q -o DPkg::Lock::Timeout=120 update'],
    );
    assert.match(said, /could not install them: E: no such thing\n/);
    assert.match(said, /install with: apt-get install/);
    assert.equal(policyAfter, null);
  });

  test('an unknown goal is a usage error', () => {
    const { status, said } = provision('everything', { lacksBubblewrap: false });
    assert.equal(status, 2);
    assert.equal(said, 'usage: node scripts/provision.mjs install|start|test');
  });
});
