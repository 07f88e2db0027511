import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { buildProbe } from '../../guest/build-test.mjs';
import type { GuestProcess } from '../../src/guest-link/guest.ts';
import {
  BubblewrapSandboxes,
  bubblewrapAsRoot,
  eventually,
  hostTemplate,
  hostUidOf,
  processesOf,
  rootProcessesOf,
} from '../support/bubblewrap-sandboxes.ts';
import { putProgram, type RunningSandbox, run, shell } from '../support/docker-sandboxes.ts';

/** HARDENING.md, section 2: the rules of the guest, tried by commands inside a bubblewrap sandbox; and section 5. */
describe('the guest in a bubblewrap sandbox', await bubblewrapAsRoot(), () => {
  let sandboxes: BubblewrapSandboxes;
  let sandbox: RunningSandbox;
  before(async () => {
    sandboxes = new BubblewrapSandboxes();
    sandbox = await sandboxes.boot();
  });
  after(() => sandboxes?.[Symbol.asyncDispose]());

  async function statusOf(): Promise<Map<string, string>> {
    const text = await shell(sandbox.link, 'cat /proc/self/status');
    return new Map(
      text
        .split('\n')
        .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]),
    );
  }

  test('G1 a command can neither open the guest, trace it nor take its descriptors', async () => {
    const probe = await putProgram(sandbox.link, 'pid1-probe', readFileSync(buildProbe('pid1-probe')));
    const { exit, stdout } = await run(sandbox.link, [probe]);
    assert.equal(stdout.trim().split('\n').length, 6, stdout);
    assert.equal(exit.exitCode, 0, stdout);
  });

  test('G2 frames that a command forges reach nobody, and a neighbour’s stream stays byte for byte', async () => {
    const neighbour = await sandboxes.boot();
    const frame = 'WPL1\\0\\0\\0\\1\\44\\0\\0\\0\\1\\0\\0\\0\\0x1LPW';
    const forge =
      `for i in $(seq 200); do printf '${frame}'; printf '${frame}' >&2; ` +
      `printf '${frame}' > /proc/1/fd/1; printf '${frame}' > /proc/1/fd/512; done 2>/dev/null; true`;
    const text = 'a neighbour says the same thing again and again\n'.repeat(40_000);
    const [forged, echoed] = await Promise.all([
      run(sandbox.link, ['sh', '-c', forge]),
      run(neighbour.link, ['cat'], { stdin: text }),
    ]);
    assert.equal(forged.exit.exitCode, 0);
    assert.equal(echoed.stdout, text);
    assert.equal(await shell(sandbox.link, 'echo open'), 'open\n');
    await sandboxes.runtime.destroy(neighbour.id);
  });

  test('G3 no_new_privs and the filter are on for any command', async () => {
    const status = await statusOf();
    assert.equal(status.get('NoNewPrivs'), '1');
    assert.equal(status.get('Seccomp'), '2');
  });

  test('G4 a command has no capability, and cannot have any', async () => {
    const status = await statusOf();
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapAmb', 'CapBnd'])
      assert.equal(status.get(set), '0'.repeat(16), set);
  });

  test('G5 a command has three descriptors and cannot reach folders of the host through others', async () => {
    const descriptors = await shell(sandbox.link, 'ls /proc/self/fd | sort -n | tr "\\n" " "');
    // The fourth is the folder that ls itself has open.
    assert.equal(descriptors, '0 1 2 3 ');
    for (let descriptor = 3; descriptor <= 20; descriptor += 1) {
      const cwd = `/proc/self/fd/${descriptor}`;
      await assert.rejects(run(sandbox.link, ['pwd'], { cwd }), { code: 'CWD_INVALID' });
    }
    for (const cwd of ['/proc/1/cwd', '/proc/1/root', '/proc/1/fd/3'])
      await assert.rejects(run(sandbox.link, ['pwd'], { cwd }), { code: 'CWD_INVALID' }, cwd);
  });

  test('G6 too many commands at once, and too many processes, are errors of their own and nothing else fails', async () => {
    const { id, link } = await sandboxes.boot(hostTemplate({ resources: { pids: 20 } }));
    const started: GuestProcess[] = [];
    const sleep = {
      argv: ['sleep', '600'],
      env: { PATH: '/usr/bin:/bin' },
      cwd: '/',
      user: '',
      stdin: false,
      timeoutMs: 0,
    };
    const refusal = await (async () => {
      for (;;) {
        try {
          started.push(await link.spawn(sleep, { onOutput: () => undefined }));
        } catch (error) {
          return error as { code: string };
        }
        assert.ok(started.length < 20);
      }
    })();
    assert.equal(refusal.code, 'LIMIT_EXCEEDED');
    assert.ok(started.length >= 15, `${started.length} commands`);
    for (const each of started) each.signal(9);
    await Promise.all(started.map((each) => each.exited));
    assert.equal(await shell(link, 'ulimit -c; echo alive'), '0\nalive\n');
    await sandboxes.runtime.destroy(id);
  });

  test('G7 an environment given to a command shows nowhere but in that command', async () => {
    const canary = 'c4n4ry-of-a-claim-51be';
    const encoded = Buffer.from(canary).toString('base64').replaceAll('=', '');
    const command = await sandbox.link.spawn(
      {
        argv: ['sleep', '600'],
        env: { PATH: '/usr/bin:/bin', SECRET: canary },
        cwd: '/',
        user: '',
        stdin: false,
        timeoutMs: 0,
      },
      { onOutput: () => undefined },
    );
    const hostUid = hostUidOf(sandboxes, sandbox.id);
    const holders = processesOf(hostUid).filter((pid) => {
      const said = ['environ', 'cmdline'].map((file) => wordsOf(`/proc/${pid}/${file}`)).join();
      return said.includes(canary) || said.includes(encoded);
    });
    const { outer, inner } = rootProcessesOf(hostUid);
    assert.equal(holders.length, 1);
    assert.ok(!holders.includes(outer) && !holders.includes(inner));
    command.signal(9);
    await command.exited;
    const left = await shell(sandbox.link, 'cat /proc/[0-9]*/environ 2>/dev/null | tr "\\0" "\\n"; true');
    assert.ok(!left.includes(canary) && !left.includes(encoded));
  });

  test('G9 end of file on the link ends the sandbox within seconds', async () => {
    const { id, link } = await sandboxes.boot();
    const hostUid = hostUidOf(sandboxes, id);
    await shell(link, '(setsid sleep 600 > /dev/null 2>&1 < /dev/null &) ; true');
    const from = performance.now();
    link.close();
    await eventually(() => processesOf(hostUid).length === 0, 'the sandbox ends');
    // The guest allows itself five seconds; a busy host takes its own.
    assert.ok(performance.now() - from < 20_000);
    await sandboxes.runtime.destroy(id);
  });

  test('every row of the system call policy holds under bubblewrap', async (context) => {
    const probe = await putProgram(sandbox.link, 'seccomp-probe', readFileSync(buildProbe('seccomp-probe')));
    const { exit, stdout } = await run(sandbox.link, [probe]);
    const rows = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { row: string; ok: boolean });
    assert.deepEqual(
      rows.filter(({ ok }) => !ok),
      [],
    );
    assert.ok(rows.length > 100);
    assert.equal(exit.exitCode, 0);
    context.diagnostic(`${rows.length} rows`);
  });
});

/** Nothing of a process that ended meanwhile. */
function wordsOf(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
