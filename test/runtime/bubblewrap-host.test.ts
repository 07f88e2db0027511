import assert from 'node:assert/strict';
import { chmodSync, copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { SystemClock } from '../../src/domain/clock.ts';
import { BubblewrapRuntime } from '../../src/runtime/bubblewrap/bubblewrap-runtime.ts';
import { parseBwrapVersion } from '../../src/runtime/bubblewrap/host-inspection.ts';
import type { HostReport } from '../../src/runtime/sandbox-runtime.ts';
import { bubblewrapAsRoot, hostTemplate } from '../support/bubblewrap-sandboxes.ts';
import { guestPath } from '../support/docker-sandboxes.ts';

test('the version of bubblewrap is read in all its forms', () => {
  assert.deepEqual(parseBwrapVersion('bubblewrap 0.8.0'), [0, 8, 0]);
  assert.deepEqual(parseBwrapVersion('bubblewrap 0.11.0-3ubuntu1\n'), [0, 11, 0]);
  assert.deepEqual(parseBwrapVersion('bubblewrap 1.2'), [1, 2, 0]);
  assert.equal(parseBwrapVersion('no such thing'), null);
});

describe('a host looked at by the bubblewrap runtime', await bubblewrapAsRoot(), () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'warmpool-host-'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  async function report(bwrapPaths: readonly string[], guest = guestPath): Promise<HostReport> {
    const runtime = new BubblewrapRuntime(
      { clock: new SystemClock(), warn: () => undefined },
      { stateFolder: folder, nodeId: 'test', guestPath: guest, bwrapPaths },
    );
    try {
      return await runtime.inspectHost();
    } finally {
      await runtime[Symbol.asyncDispose]();
    }
  }

  function reasonOf(said: HostReport): string {
    assert.equal(said.usable, false);
    return said.usable ? '' : said.reason;
  }

  function program(name: string, script: string): string {
    const path = join(folder, name);
    writeFileSync(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    return path;
  }

  test('B15 a setuid bwrap is refused, by whatever name it is reached', async () => {
    const setuid = join(folder, 'bwrap-setuid');
    copyFileSync('/usr/bin/bwrap', setuid);
    chmodSync(setuid, 0o4755);
    assert.match(reasonOf(await report([setuid])), /setuid/);
    rmSync(setuid);
  });

  test('B11 a bwrap older than 0.8.0 is refused', async () => {
    const old = program('bwrap-old', 'echo bubblewrap 0.7.0');
    assert.match(reasonOf(await report([old])), /0\.7\.0 is too old/);
  });

  test('without bwrap it says what to install', async () => {
    assert.match(reasonOf(await report([join(folder, 'none')])), /apt-get install bubblewrap/);
  });

  test('without the agent it says how to build it', async () => {
    assert.match(reasonOf(await report(['/usr/bin/bwrap'], join(folder, 'none'))), /node guest\/build\.mjs/);
  });

  test('where no sandbox can be booted it gives the words of bubblewrap', async () => {
    const failing = program(
      'bwrap-failing',
      'case "$1" in --version) echo bubblewrap 0.9.0;; *) echo "bwrap: No permissions to create new namespace" >&2; exit 1;; esac',
    );
    chmodSync(folder, 0o755);
    assert.match(reasonOf(await report([failing])), /No permissions to create new namespace/);
  });

  test('a use without having looked first is refused with the reason', async () => {
    const runtime = new BubblewrapRuntime(
      { clock: new SystemClock(), warn: () => undefined },
      { stateFolder: folder, nodeId: 'test', guestPath, bwrapPaths: [] },
    );
    await assert.rejects(runtime.prepare(hostTemplate()), {
      code: 'RUNTIME_UNAVAILABLE',
      message: /not installed/,
    });
    await runtime[Symbol.asyncDispose]();
  });
});
