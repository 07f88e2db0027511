import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { complaintsAbout, textOf } from './deployed-files.ts';

const folder = 'deploy/systemd';
const units = { allocator: 'warmpool-allocator.service', node: 'warmpool-node.service' } as const;
const roles = Object.keys(units) as (keyof typeof units)[];

/** Each line `Key=value` of a unit or of an environment file, in order. */
function lines(text: string): readonly (readonly [string, string])[] {
  return text
    .split('\n')
    .filter((line) => /^\w+=/.test(line))
    .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]);
}

function unitLines(role: keyof typeof units): readonly (readonly [string, string])[] {
  return lines(textOf(`${folder}/${units[role]}`));
}

/** As systemd puts them together: the unit's, over them the common file, over that the role's own. */
function variablesOf(role: keyof typeof units): Record<string, string> {
  const ofUnit = unitLines(role)
    .filter(([key]) => key === 'Environment')
    .flatMap(([, value]) => lines(value));
  const files = ['warmpool.env', `${role}.env`].flatMap((name) => lines(textOf(`${folder}/${name}`)));
  return Object.fromEntries([...ofUnit, ...files]);
}

test('the program takes what the units and their environment files set', () => {
  for (const role of roles) {
    const variables = variablesOf(role);
    assert.deepEqual(complaintsAbout(variables), [], role);
    assert.equal(variables.WARMPOOL_ROLE, role);
  }
});

test('an allocator and a node on one machine have ports of their own, and the node says which is its', () => {
  const [allocator, node] = [variablesOf('allocator'), variablesOf('node')];
  const of = (variables: Record<string, string>) =>
    ['WARMPOOL_HTTP_LISTEN', 'WARMPOOL_DATA_LISTEN'].map((name) => variables[name]);
  assert.equal(new Set([...of(allocator), ...of(node), allocator.WARMPOOL_GRPC_LISTEN]).size, 5);
  assert.equal(node.WARMPOOL_NODE_URL, `ws://${node.WARMPOOL_DATA_LISTEN}`);
});

test('the secrets that a unit loads are those that it names, and the page says where they lie', () => {
  const page = textOf('docs/deploy.md');
  for (const role of roles) {
    const loaded = unitLines(role)
      .filter(([key]) => key === 'LoadCredential')
      .map(([, value]) => value.split(':') as [string, string]);
    const named = Object.values(variablesOf(role)).filter((value) => value.startsWith('%d/'));
    assert.deepEqual(named.sort(), loaded.map(([name]) => `%d/${name}`).sort());
    for (const [, path] of loaded) assert.ok(page.includes(path), path);
  }
});

test('D19 systemd waits longer than a drain takes, and tells the main process only', () => {
  for (const role of roles) {
    const unit = Object.fromEntries(unitLines(role));
    const drainS = Number.parseInt(variablesOf(role).WARMPOOL_DRAIN_TIMEOUT ?? '', 10);
    assert.ok(Number(unit.TimeoutStopSec) >= drainS + 20, role);
    assert.equal(unit.KillMode, 'mixed');
  }
});

test('the node keeps what bubblewrap cannot do without', () => {
  const unit = Object.fromEntries(unitLines('node'));
  for (const option of [
    ...['PrivateUsers', 'RestrictNamespaces', 'ProtectKernelTunables', 'ProtectKernelLogs', 'ProtectProc'],
    ...['ProtectControlGroups', 'PrivateDevices', 'LockPersonality', 'MemoryDenyWriteExecute'],
  ])
    assert.equal(unit[option], undefined, option);
  assert.match(unit.CapabilityBoundingSet ?? '', /CAP_KILL CAP_SETGID CAP_SETUID/);
});

const systemd = await promisify(execFile)('systemd-analyze', ['--version']).then(
  () => false as const,
  () => 'systemd is not installed',
);

test('systemd-analyze has nothing to say about the units, and would about a typo', {
  skip: systemd,
}, async () => {
  const scratch = await mkdtemp(join(tmpdir(), 'wp-units-'));
  try {
    for (const role of roles) {
      const program = `ExecStart=${process.execPath} /opt/warmpool/dist/src/main.js serve`;
      const unit = textOf(`${folder}/${units[role]}`).replace(/^ExecStart=\/usr\/bin\/node .*$/m, program);
      assert.ok(unit.includes(program), 'the unit runs the program where the page installs it');
      const path = join(scratch, units[role]);
      await writeFile(path, unit);
      assert.equal(await verified(path), '');
      await writeFile(path, unit.replace('ProtectSystem=', 'ProtectSytem='));
      assert.match(await verified(path), /ProtectSytem/);
    }
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
});

/** What it complains of. Other units of this machine are none of our business. */
async function verified(path: string): Promise<string> {
  const { stdout, stderr } = await promisify(execFile)('systemd-analyze', ['verify', '--man=no', path]);
  const said = `${stdout}${stderr}`.split('\n');
  return said.filter((line) => line.includes('warmpool')).join('\n');
}
