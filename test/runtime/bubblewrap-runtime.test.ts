import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { newSandboxId } from '../../src/domain/ids.ts';
import {
  BubblewrapSandboxes,
  bubblewrapAsRoot,
  eventually,
  folderOf,
  groupFileOf,
  groupsNamed,
  hostTemplate,
  hostUidOf,
  tracesOf,
} from '../support/bubblewrap-sandboxes.ts';
import { run, shell } from '../support/docker-sandboxes.ts';

describe('the bubblewrap runtime', await bubblewrapAsRoot(), () => {
  let sandboxes: BubblewrapSandboxes;
  before(async () => {
    sandboxes = new BubblewrapSandboxes();
    await sandboxes.runtime.prepare(hostTemplate());
  });
  after(() => sandboxes[Symbol.asyncDispose]());

  test('says that this host can be used, with versions and its limits in sentences', async () => {
    const report = await sandboxes.runtime.inspectHost();
    assert.ok(report.usable, JSON.stringify(report));
    assert.match(report.versions.bubblewrap ?? '', /^\d+\.\d+\.\d+$/);
    assert.match(report.versions.cgroups ?? '', /^(v1|v2)$/);
    assert.ok(report.warnings.some((sentence) => sentence.includes('share the kernel')));
    assert.deepEqual(await sandboxes.runtime.list(), [], 'the throw-away sandbox is gone');
  });

  test('boots a sandbox whose commands run as its user, with a home, a /tmp and the asked directory', async () => {
    const { link, id } = await sandboxes.boot();
    const said = await shell(
      link,
      'id -u; id -un; id -g; pwd; touch /home/user/a /tmp/b /var/tmp/c /run/d && echo written; hostname',
      { cwd: '/home/user' },
    );
    assert.deepEqual(said.trim().split('\n'), ['1000', 'user', '1000', '/home/user', 'written', id]);
    await sandboxes.runtime.destroy(id);
  });

  test('makes the asked working directory where the root has none', async () => {
    const { link, id } = await sandboxes.boot(hostTemplate({ cwd: '/workspace/project' }));
    assert.equal(
      await shell(link, 'touch here && pwd', { cwd: '/workspace/project' }),
      '/workspace/project\n',
    );
    await sandboxes.runtime.destroy(id);
  });

  test('carries megabytes both ways unchanged', async () => {
    const { link, id } = await sandboxes.boot();
    const text = 'all work and no play\n'.repeat(200_000);
    const { stdout } = await run(link, ['cat'], { stdin: text });
    assert.equal(stdout.length, text.length);
    assert.equal(stdout, text);
    await sandboxes.runtime.destroy(id);
  });

  test('lists a sandbox with its store, and says when it no longer runs', async () => {
    const { link, id } = await sandboxes.boot();
    const [object] = await sandboxes.runtime.list();
    assert.equal(object?.sandboxId, id);
    assert.equal(object.storeId, 'store-1');
    assert.equal(object.running, true);
    assert.ok(object.ageMs >= 0 && object.ageMs < 60_000, `${object.ageMs}`);
    link.close();
    await link.closed;
    // End of file on the link ends the sandbox; what is left of it waits for destroy.
    await eventually(async () => (await sandboxes.runtime.list())[0]?.running === false, 'it ends');
    await sandboxes.runtime.destroy(id);
    assert.deepEqual(await sandboxes.runtime.list(), []);
  });

  test('destroy leaves no process, mount, control group, folder or lent uid, and is fine twice', async () => {
    const { link, id } = await sandboxes.boot();
    const hostUid = hostUidOf(sandboxes, id);
    await link.spawn(
      {
        argv: ['sh', '-c', '(setsid sh -c "trap : TERM HUP INT; while :; do sleep 1; done" &) ; sleep 600'],
        env: { PATH: '/usr/bin:/bin' },
        cwd: '/',
        user: '',
        stdin: false,
        timeoutMs: 0,
      },
      { onOutput: () => undefined },
    );
    const traces = tracesOf(sandboxes, id, hostUid);
    assert.ok(traces.length > 3, traces.join('\n'));
    await Promise.all([sandboxes.runtime.destroy(id), sandboxes.runtime.destroy(id)]);
    assert.deepEqual(tracesOf(sandboxes, id, hostUid), []);
    await sandboxes.runtime.destroy(id);
    await sandboxes.runtime.destroy(newSandboxId(0));
  });

  test('mounts nothing on the host', async () => {
    const { id } = await sandboxes.boot();
    assert.deepEqual(
      tracesOf(sandboxes, id, null).filter((trace) => trace.startsWith('mount')),
      [],
    );
    await sandboxes.runtime.destroy(id);
  });

  test('boots twenty at once, each under a uid of its own', async () => {
    const booted = await Promise.all(Array.from({ length: 20 }, () => sandboxes.boot()));
    const uids = booted.map(({ id }) => hostUidOf(sandboxes, id));
    assert.equal(new Set(uids).size, 20);
    const answers = await Promise.all(booted.map(({ link }) => shell(link, 'hostname')));
    assert.deepEqual(
      answers.map((answer) => answer.trim()),
      booted.map(({ id }) => id),
    );
    await Promise.all(booted.map(({ id }) => sandboxes.runtime.destroy(id)));
    booted.forEach(({ id }, index) => {
      assert.deepEqual(tracesOf(sandboxes, id, uids[index] ?? null), []);
    });
  });

  test('sets each limit before the sandbox runs', async () => {
    const resources = { cpu: 0.5, memoryMb: 96, pids: 40 };
    const { id } = await sandboxes.boot(hostTemplate({ resources }));
    if (groupFileOf(id, 'memory.max') === null) {
      assert.equal(groupFileOf(id, 'memory.limit_in_bytes'), String(96 * 1_048_576));
      assert.equal(groupFileOf(id, 'cpu.cfs_quota_us'), '50000');
    } else {
      assert.equal(groupFileOf(id, 'memory.max'), String(96 * 1_048_576));
      assert.equal(groupFileOf(id, 'cpu.max'), '50000 100000');
    }
    // One more for bubblewrap's own outer process.
    assert.equal(groupFileOf(id, 'pids.max'), '41');
    await sandboxes.runtime.destroy(id);
    assert.deepEqual(groupsNamed(id), []);
  });

  test('cannot be asked for a sandbox of another process', async () => {
    await assert.rejects(sandboxes.runtime.adopt(newSandboxId(0)), { code: 'UNSUPPORTED' });
    assert.equal(sandboxes.runtime.survivesNode, false);
  });

  test('keeps its own files to itself', async () => {
    const { id } = await sandboxes.boot();
    assert.equal(statSync(folderOf(sandboxes, id)).mode & 0o077, 0);
    await sandboxes.runtime.destroy(id);
  });
});

describe('limits of a sandbox under bubblewrap', await bubblewrapAsRoot(), () => {
  let sandboxes: BubblewrapSandboxes;
  before(() => {
    sandboxes = new BubblewrapSandboxes();
  });
  after(() => sandboxes[Symbol.asyncDispose]());

  test('memory: the process that takes too much is killed, its sandbox and its neighbour go on', async () => {
    const [greedy, neighbour] = await Promise.all([sandboxes.boot(), sandboxes.boot()]);
    const { exit } = await run(greedy.link, [
      'sh',
      '-c',
      'head -c 300000000 /dev/zero | tail -c 299000000; exit $?',
    ]);
    assert.equal(exit.exitCode, 137);
    assert.equal(await shell(greedy.link, 'echo alive'), 'alive\n');
    assert.equal(await shell(neighbour.link, 'echo alive'), 'alive\n');
    await Promise.all([greedy, neighbour].map(({ id }) => sandboxes.runtime.destroy(id)));
  });

  test('pids: forks fail at the limit, and the sandbox goes on once they are gone', async () => {
    const { id, link } = await sandboxes.boot(hostTemplate({ resources: { pids: 24 } }));
    const script =
      'perl -e \'my $n = 0; for (1 .. 60) { my $p = fork; last if !defined $p; if (!$p) { sleep 600; exit } $n++ } print "$n\\n"; kill 9, -$$\'';
    const { stdout } = await run(link, ['setsid', '-w', 'sh', '-c', script]);
    const forks = Number(stdout.trim());
    assert.ok(forks > 10 && forks < 24, `${forks} forks`);
    assert.equal(await shell(link, 'echo alive'), 'alive\n');
    await sandboxes.runtime.destroy(id);
  });

  test('disk: a full one is ENOSPC for the writer, and for nobody else', async () => {
    const [full, neighbour] = await Promise.all([sandboxes.boot(), sandboxes.boot()]);
    const { exit, stderr } = await run(full.link, [
      'dd',
      'if=/dev/zero',
      'of=/home/user/big',
      'bs=1M',
      'count=256',
    ]);
    assert.equal(exit.exitCode, 1);
    assert.match(stderr, /No space left on device/);
    const bytes = Number(await shell(full.link, 'stat -c %s /home/user/big; echo alive >&2'));
    assert.ok(bytes > 20 * 1_048_576 && bytes <= 32 * 1_048_576, `${bytes} bytes`);
    await shell(neighbour.link, 'dd if=/dev/zero of=/tmp/some bs=1M count=16 2>/dev/null');
    await Promise.all([full, neighbour].map(({ id }) => sandboxes.runtime.destroy(id)));
  });

  test('cpu: a spinning sandbox gets its share and no more', async () => {
    const { id, link } = await sandboxes.boot(hostTemplate({ resources: { cpu: 0.2 } }));
    const throttled = () => Number(/nr_throttled (\d+)/.exec(groupFileOf(id, 'cpu.stat') ?? '')?.[1]);
    // A host so busy that it gives a sandbox less than its share need not hold it back.
    for (let seconds = 0; throttled() === 0 && seconds < 30; seconds += 1)
      await run(link, ['sh', '-c', 'while :; do :; done'], { timeoutMs: 1_000 });
    assert.ok(throttled() > 0, `throttled ${throttled()} times`);
    await sandboxes.runtime.destroy(id);
  });
});
