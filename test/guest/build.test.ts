import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { buildFolder, buildGuest, guestBinary } from '../../guest/build.mjs';
import { packageRoot } from '../../src/package-root.ts';
import { GuestDriver } from './guest-driver.ts';

const script = join(packageRoot(), 'guest', 'build.mjs');

describe('building the guest', () => {
  test('puts the binary where the runtimes look for it, and does nothing when it is up to date', () => {
    buildGuest();
    const before = statSync(guestBinary).mtimeMs;
    assert.equal(buildGuest().compiled, false);
    assert.equal(statSync(guestBinary).mtimeMs, before);
    assert.equal(guestBinary, join(packageRoot(), 'guest/build/warmpool-guest'));
    assert.equal(buildFolder, join(packageRoot(), 'guest/build'));
  });

  test('says what to install when there is no compiler', () => {
    const { status, stderr } = spawnSync(process.execPath, [script], {
      encoding: 'utf8',
      env: { PATH: '/nonexistent', CC: 'no-such-compiler' },
    });
    assert.equal(status, 1);
    assert.match(stderr, /apt-get install musl-tools/);
  });

  test('S11 it is static, under 100 KB, and uses well under 1 MB of private memory, also after work', async (context) => {
    const { path } = buildGuest();
    assert.ok(statSync(path).size < 100_000, `${statSync(path).size} bytes`);
    assert.ok(!readFileSync(path).includes('ld-musl') && !readFileSync(path).includes('ld-linux'));
    await using guest = await GuestDriver.start();
    const idleKb = privateKb(guest.pid);
    const cat = guest.begin(['cat'], { stdin: true });
    cat.writeStdin(Buffer.alloc(65_536));
    cat.endStdin();
    await cat.exited();
    await guest.run(['head', '-c', '1000000', '/dev/zero']);
    const workedKb = privateKb(guest.pid);
    context.diagnostic(`private: ${idleKb} KB idle, ${workedKb} KB after work`);
    assert.ok(idleKb < 300, `idle: ${idleKb} KB`);
    assert.ok(workedKb < 600, `after work: ${workedKb} KB`);
  });
});

function privateKb(pid: number): number {
  const lines = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8').match(/^Private_\w+: +(\d+) kB$/gm) ?? [];
  return lines.reduce((sum, line) => sum + Number(/\d+/.exec(line)?.[0] ?? 0), 0);
}
