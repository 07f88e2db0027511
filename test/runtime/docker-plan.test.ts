import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isWarmpoolError } from '../../src/domain/errors.ts';
import { type DiskLayout, planDisk, type WritablePlaces } from '../../src/runtime/docker/disk-layout.ts';
import { connectToEngine } from '../../src/runtime/docker/engine-connection.ts';
import {
  type EngineInfo,
  type EngineVersion,
  isOlder,
  reportHost,
} from '../../src/runtime/docker/host-report.ts';
import { StartGate } from '../../src/runtime/docker/start-gate.ts';
import { findUserHome } from '../../src/runtime/docker/user-home.ts';

const mebibyte = 1_048_576;
const resources = { cpu: 1, memoryMb: 512, diskMb: 1024, pids: 256 };
const places: WritablePlaces = { home: { path: '/home/user', uid: 1000, gid: 1000 }, volumes: ['/data'] };
const passwd = [
  'root:x:0:0:root:/root:/bin/bash',
  'daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin',
  'user:x:1000:1001::/home/user:/bin/bash',
  'odd:x:1002:1002::/home/../etc:/bin/bash',
  'half',
].join('\n');

test('K8 without a quota everything writable together is bounded by the disk and by three quarters of the memory', () => {
  const layout = planDisk('memory', resources, places);
  assert.equal(layout.readonlyRoot, true);
  assert.equal(layout.rootBytes, null);
  assert.deepEqual(Object.keys(layout.tmpfs).sort(), ['/data', '/home/user', '/run', '/tmp', '/var/tmp']);
  assert.ok(bytesOf(layout) <= 384 * mebibyte);
  assert.ok(bytesOf(layout) > 380 * mebibyte);
  const small = planDisk('memory', { ...resources, diskMb: 16 }, places);
  assert.ok(bytesOf(small) <= 16 * mebibyte);
});

test('K8 with a quota the root is writable and counts against the same disk', () => {
  const layout = planDisk('quota', resources, places);
  assert.equal(layout.readonlyRoot, false);
  assert.ok(bytesOf(layout) <= 1024 * mebibyte);
  assert.ok((layout.rootBytes ?? 0) > 512 * mebibyte);
  assert.equal(layout.tmpfs['/home/user'], undefined);
});

test('every writable mount has a size, and neither setuid programs nor devices work there', () => {
  for (const mode of ['memory', 'quota'] as const) {
    for (const options of Object.values(planDisk(mode, resources, places).tmpfs)) {
      assert.match(options, /^rw,nosuid,nodev,/);
      assert.match(options, /,size=\d+$/);
    }
  }
});

test('the home of a user is found by name and by uid, and never covers the system', () => {
  const home = { path: '/home/user', uid: 1000, gid: 1001 };
  assert.deepEqual(findUserHome('user', passwd), home);
  assert.deepEqual(findUserHome('1000:daemon', passwd), home);
  assert.deepEqual(findUserHome('', passwd), { path: '/root', uid: 0, gid: 0 });
  for (const user of ['daemon', 'odd', 'half', 'nobody', '77'])
    assert.equal(findUserHome(user, passwd), null);
  assert.equal(findUserHome('user', ''), null);
});

test('K9 a remote engine is used over TLS with client certificates only', () => {
  const mistakes: readonly [string, string | null, RegExp][] = [
    ['tcp://10.0.0.1:2375', null, /client certificates/],
    ['tcp://10.0.0.1:2375', '/nonexistent', /ca\.pem in "\/nonexistent" .* cannot be read/],
    ['ssh://somebody@host', null, /forward the socket/],
    ['http://10.0.0.1', null, /is not unix:/],
    ['docker', null, /is not unix:/],
    ['', null, /is not unix:/],
  ];
  for (const [dockerHost, certFolder, said] of mistakes) {
    assert.throws(
      () => connectToEngine({ dockerHost, certFolder }),
      (error) => isWarmpoolError(error) && error.code === 'INVALID_REQUEST' && said.test(error.message),
    );
  }
});

test('the address given is the one used, whatever the environment says', () => {
  const before = process.env.DOCKER_HOST;
  process.env.DOCKER_HOST = 'tcp://192.0.2.1:2375';
  try {
    const { docker, agent } = connectToEngine({ dockerHost: 'unix:///nowhere/d.sock', certFolder: null });
    assert.equal(Reflect.get(docker.modem, 'socketPath'), '/nowhere/d.sock');
    assert.ok(!Reflect.get(docker.modem, 'host'));
    agent.destroy();
  } finally {
    if (before === undefined) delete process.env.DOCKER_HOST;
    else process.env.DOCKER_HOST = before;
  }
});

test('old engines, missing limits and a shared kernel are said', () => {
  const report = reportHost(version('20.10.24+dfsg1', '1.1.5+ds1'), {
    ...goodInfo,
    SwapLimit: false,
    PidsLimit: false,
    Driver: 'overlay2',
    DefaultRuntime: 'runc',
    SecurityOptions: [],
    Runtimes: { runsc: { path: 'runsc', runtimeArgs: ['--ignore-cgroups'] } },
  });
  assert.ok(report.usable);
  const text = report.warnings.join('\n');
  for (const expected of [
    /docker 20\.10\.24\+dfsg1 is older than 29\.4\.2/,
    /runc 1\.1\.5\+ds1 is older than 1\.2\.8/,
    /cannot limit swap, pids/,
    /runtime runsc is configured with --ignore-cgroups/,
    /filters no system calls/,
    /does not remap users/,
    /share this host's kernel/,
    /read-only root/,
  ]) {
    assert.match(text, expected);
  }
});

test('a new, fully able engine gets no warning', () => {
  const report = reportHost(version('29.4.2', '1.3.6'), goodInfo);
  assert.deepEqual(report.usable && report.warnings, []);
});

test('an engine for another operating system is not usable', () => {
  assert.deepEqual(reportHost(version('29.4.2', '1.3.6'), { ...goodInfo, OSType: 'windows' }).usable, false);
});

test('versions are compared by their numbers', () => {
  assert.ok(isOlder('1.1.5+ds1', '1.2.8'));
  assert.ok(isOlder('1.2', '1.2.8'));
  assert.ok(!isOlder('1.2.8-rc.1', '1.2.8'));
  assert.ok(!isOlder('10.0.0', '9.9.9'));
  assert.ok(isOlder('unknown', '1.2.8'));
});

test('only so many starts run at once, in the order they came', async () => {
  const gate = new StartGate(2);
  const never = new AbortController().signal;
  const leaves = [await gate.enter(never), await gate.enter(never)];
  const order: number[] = [];
  const enter = async (number: number) => {
    const leave = await gate.enter(never);
    order.push(number);
    return leave;
  };
  const third = enter(3);
  const fourth = enter(4);
  await Promise.resolve();
  assert.deepEqual(order, []);
  leaves[0]?.();
  leaves[0]?.();
  const leaveThird = await third;
  assert.deepEqual(order, [3]);
  leaveThird();
  await fourth;
  assert.deepEqual(order, [3, 4]);
});

test('a start that is aborted while it waits gives its place to the next', async () => {
  const gate = new StartGate(1);
  const never = new AbortController().signal;
  const leave = await gate.enter(never);
  const abort = new AbortController();
  const aborted = gate.enter(abort.signal);
  const next = gate.enter(never);
  abort.abort(new Error('not wanted any more'));
  await assert.rejects(aborted, /not wanted any more/);
  leave();
  (await next)();
  await assert.rejects(gate.enter(abort.signal), /not wanted any more/);
});

const goodInfo: EngineInfo = {
  OSType: 'linux',
  Driver: 'btrfs',
  DefaultRuntime: 'runsc',
  Runtimes: { runsc: { path: 'runsc' } },
  SecurityOptions: ['name=seccomp,profile=builtin', 'name=userns'],
  MemoryLimit: true,
  SwapLimit: true,
  PidsLimit: true,
  CpuCfsQuota: true,
};

function version(docker: string, runc: string): EngineVersion {
  const components = [{ Name: 'runc', Version: runc }];
  return { Version: docker, Components: components } as EngineVersion;
}

function bytesOf(layout: DiskLayout): number {
  const sizes = Object.values(layout.tmpfs).map((options) => Number(/size=(\d+)/.exec(options)?.[1]));
  return sizes.reduce((sum, size) => sum + size, layout.shmBytes + (layout.rootBytes ?? 0));
}
