import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { dockerEngineMissing, type TestEngine, useDockerEngine } from '../support/docker-engine.ts';
import { importTinyImage } from '../support/docker-images.ts';
import {
  DockerSandboxes,
  openLink,
  type RunningSandbox,
  run,
  shell,
  template,
} from '../support/docker-sandboxes.ts';

/** The rows K1–K11 of HARDENING.md, section 3, on the engine's default runtime. */
describe('hardening of containers', { skip: dockerEngineMissing() ?? false }, () => {
  let engine: TestEngine;
  let sandboxes: DockerSandboxes;
  let sandbox: RunningSandbox;
  const startedSeconds = Math.floor(Date.now() / 1_000);

  before(async () => {
    engine = await useDockerEngine();
    sandboxes = await DockerSandboxes.onBaseImage(engine.dockerHost);
    sandbox = await sandboxes.boot();
  });

  after(async () => {
    await sandboxes?.[Symbol.asyncDispose]();
    await engine?.[Symbol.asyncDispose]();
  });

  const inspect = async () => await sandboxes.container(sandbox.id).inspect();

  test('K1 the guest holds three capabilities and no other', async () => {
    const { State } = await inspect();
    const status = readFileSync(`/proc/${State.Pid}/status`, 'utf8');
    // KILL is bit 5, SETGID 6, SETUID 7.
    for (const set of ['CapPrm', 'CapEff', 'CapBnd'])
      assert.match(status, new RegExp(`${set}:\\t00000000000000e0`));
    assert.match(status, /NoNewPrivs:\t1/);
  });

  test("K2 the engine's own filter is in force beside the guest's", async () => {
    const status = await shell(sandbox.link, 'cat /proc/self/status');
    assert.match(status, /Seccomp:\t2/);
    assert.match(status, /Seccomp_filters:\t2/);
  });

  test('K3 there is no network but loopback, and no route anywhere', async () => {
    const { NetworkSettings, HostConfig } = await inspect();
    assert.equal(HostConfig.NetworkMode, 'none');
    assert.deepEqual(Object.keys(NetworkSettings.Networks), ['none']);
    assert.equal(await shell(sandbox.link, "sed 1,2d /proc/net/dev | cut -d: -f1 | tr -d ' '"), 'lo\n');
    const connect = [
      'import errno, socket',
      "for address in ('169.254.169.254', '172.17.0.1', '1.1.1.1'):",
      '  try: socket.create_connection((address, 80), 2); print("connected")',
      '  except OSError as error: print(errno.errorcode[error.errno])',
    ].join('\n');
    const { stdout } = await run(sandbox.link, ['python3', '-c', connect]);
    assert.equal(stdout, 'ENETUNREACH\n'.repeat(3));
  });

  test('K4 100 MB of output leave no log on the host', async () => {
    const { exit } = await run(sandbox.link, ['head', '-c', '100000000', '/dev/zero']);
    assert.equal(exit.exitCode, 0);
    const { Id, HostConfig, LogPath } = await inspect();
    assert.equal(HostConfig.LogConfig?.Type, 'none');
    assert.equal(LogPath, '');
    const { DockerRootDir } = await sandboxes.docker.info();
    assert.ok(folderBytes(join(DockerRootDir, 'containers', Id)) < 100_000);
  });

  test('K5 a link that was let go can be taken up again, and again', async () => {
    const { id, link } = await sandboxes.boot();
    link.close();
    for (let links = 0; links < 3; links += 1) {
      const { transport, resync } = await sandboxes.runtime.adopt(id);
      const next = await openLink(transport, resync);
      assert.equal(await shell(next, 'echo here'), 'here\n');
      next.close();
    }
    await sandboxes.runtime.destroy(id);
  });

  test('K6 a killed container stays dead and stays visible until it is destroyed', async () => {
    const { id, link } = await sandboxes.boot();
    await sandboxes.container(id).kill();
    await link.closed;
    const { State, RestartCount, HostConfig } = await sandboxes.container(id).inspect();
    assert.equal(State.Status, 'exited');
    assert.equal(State.ExitCode, 137);
    assert.equal(RestartCount, 0);
    assert.equal(HostConfig.RestartPolicy?.Name, 'no');
    assert.equal(HostConfig.AutoRemove, false);
    await sandboxes.runtime.destroy(id);
  });

  test('K7 the labels say who made it for what, and nothing that changes', async () => {
    const { Config, Name } = await inspect();
    assert.equal(Name, `/warmpool-${sandbox.id}`);
    assert.deepEqual(Config.Labels, {
      'warmpool.sandbox': sandbox.id,
      'warmpool.pool': 'test',
      'warmpool.node': sandboxes.nodeId,
      'warmpool.store': 'store-1',
    });
  });

  test('K8 every writable place fills up at its bound, and nothing of it reaches the host', async (context) => {
    const report = await sandboxes.runtime.inspectHost();
    assert.ok(report.usable);
    const { id, link } = await sandboxes.boot(template({ resources: { diskMb: 64, memoryMb: 512 } }));
    const { HostConfig } = await sandboxes.container(id).inspect();
    if (HostConfig.ReadonlyRootfs !== true) context.diagnostic('this engine bounds the root itself');
    const mount = 'while read -r _ p _ o _; do case $o in rw*) echo $p;; esac; done < /proc/self/mounts';
    const writable = (
      await shell(link, `for p in $(${mount}); do [ -w $p ] && [ -d $p ] && echo $p; done; true`)
    )
      .trim()
      .split('\n');
    assert.ok(
      ['/tmp', '/var/tmp', '/home/user', '/dev/shm'].every((path) => writable.includes(path)),
      writable.join(),
    );
    let byteCount = 0;
    for (const folder of writable) {
      // Folders of the kernel's own (/proc, /dev/pts) take no files.
      const fill = `head -c 1G /dev/zero 2>&1 > ${folder}/fill | grep -o 'No space' ; stat -c %s ${folder}/fill`;
      const { stdout } = await run(link, ['bash', '-c', fill]);
      if (stdout.includes('No space')) byteCount += Number(stdout.trim().split('\n').at(-1));
    }
    assert.ok(byteCount > 32 << 20 && byteCount <= 64 << 20, `${byteCount} bytes could be written`);
    const [{ SizeRw = 0 } = {}] = (
      await sandboxes.docker.listContainers({ all: true, size: true, filters: { name: [`warmpool-${id}`] } })
    ).map((container) => ({ SizeRw: Number(Reflect.get(container, 'SizeRw') ?? 0) }));
    assert.ok(SizeRw < 65_536, `${SizeRw} bytes on the host`);
    assert.equal(await shell(sandbox.link, 'touch /tmp/neighbour && echo fine'), 'fine\n');
    await sandboxes.runtime.destroy(id);
  });

  test('K8 root of the sandbox can write to no file of the image or of the engine', async () => {
    const { HostConfig } = await inspect();
    if (HostConfig.ReadonlyRootfs !== true) return;
    for (const path of [
      '/etc/hosts',
      '/etc/resolv.conf',
      '/etc/hostname',
      '/etc/x',
      '/usr/bin/x',
      '/.warmpool/guest',
    ]) {
      const { exit } = await run(sandbox.link, ['bash', '-c', `: >> ${path}`], { user: 'root' });
      assert.notEqual(exit.exitCode, 0, path);
    }
  });

  test('K9 nothing of the host is mounted, and there is no socket in a sandbox', async () => {
    const { HostConfig, Mounts } = await inspect();
    assert.deepEqual(HostConfig.Binds ?? [], []);
    assert.deepEqual(HostConfig.Devices ?? [], []);
    assert.deepEqual(Mounts, []);
    assert.equal(HostConfig.Privileged, false);
    assert.equal(HostConfig.PidMode, '');
    assert.equal(HostConfig.IpcMode, 'private');
    assert.equal(await shell(sandbox.link, 'find / -xdev -type s 2>/dev/null; true', { user: 'root' }), '');
    assert.equal(await shell(sandbox.link, 'find /tmp /run /var/tmp /dev -type s 2>/dev/null; true'), '');
  });

  test('K9 the limits that were asked for are the ones in force', async () => {
    const { HostConfig } = await inspect();
    assert.equal(HostConfig.Memory, 256 << 20);
    assert.equal(HostConfig.MemorySwap, 256 << 20);
    assert.equal(HostConfig.NanoCpus, 1_000_000_000);
    assert.equal(HostConfig.PidsLimit, 64);
    assert.equal(HostConfig.OomScoreAdj, 500);
    const limits = await shell(sandbox.link, 'ulimit -c; ulimit -Hn; cat /proc/1/oom_score_adj');
    assert.match(limits, /^0\n\d+\n500\n$/);
  });

  test('K10 no exec and no copy was asked of the engine for a running sandbox', async () => {
    const untilSeconds = Math.ceil(Date.now() / 1_000);
    const log = await text(
      await sandboxes.docker.getEvents({
        since: startedSeconds,
        until: untilSeconds,
        filters: { label: [`warmpool.node=${sandboxes.nodeId}`] },
      }),
    );
    const actions = new Set(
      log
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).Action),
    );
    assert.ok(actions.has('start'));
    const known = ['create', 'attach', 'start', 'kill', 'die', 'destroy', 'detach', 'resize', 'oom'];
    assert.deepEqual(
      [...actions].filter((action) => !known.includes(action)),
      [],
    );
  });

  test('K11 an image named by its digest stays what it was when the tag moves', async () => {
    const image = 'warmpool/test-moving';
    await importTinyImage(engine.dockerHost, image, ['LABEL version=1']);
    const first = (await sandboxes.docker.getImage(image).inspect()).Id;
    const byDigest = template({ image: first, user: '' });
    await sandboxes.runtime.prepare(byDigest);
    await importTinyImage(engine.dockerHost, image, ['LABEL version=2']);
    const { id } = await sandboxes.boot(byDigest);
    assert.equal((await sandboxes.container(id).inspect()).Config.Labels.version, '1');
    const byTag = template({ image, user: '' });
    await sandboxes.runtime.prepare(byTag);
    const moved = await sandboxes.boot(byTag);
    assert.equal((await sandboxes.container(moved.id).inspect()).Config.Labels.version, '2');
    for (const sandboxId of [id, moved.id]) await sandboxes.runtime.destroy(sandboxId);
    await sandboxes.removeImage(first);
    await sandboxes.removeImage(image);
  });
});

function folderBytes(folder: string): number {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => statSync(join(folder, name)))
    .reduce((sum, stats) => sum + (stats.isFile() ? stats.size : 0), 0);
}
