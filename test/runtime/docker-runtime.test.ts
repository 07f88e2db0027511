import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { isWarmpoolError } from '../../src/domain/errors.ts';
import { newSandboxId } from '../../src/domain/ids.ts';
import {
  dockerEngineMissing,
  ensureTinyImage,
  type TestEngine,
  tinyImage,
  useDockerEngine,
} from '../support/docker-engine.ts';
import { compileHello } from '../support/docker-images.ts';
import {
  bootRequest,
  DockerSandboxes,
  hasCode,
  openLink,
  run,
  shell,
  template,
} from '../support/docker-sandboxes.ts';
import { nodeProgram } from '../support/node-program.ts';
import { within } from '../support/within.ts';

describe('sandboxes in a Docker engine', { skip: dockerEngineMissing() ?? false }, () => {
  let engine: TestEngine;
  let sandboxes: DockerSandboxes;

  before(async () => {
    engine = await useDockerEngine();
    sandboxes = await DockerSandboxes.onBaseImage(engine.dockerHost);
    await ensureTinyImage(engine.dockerHost);
  });

  after(async () => {
    await sandboxes?.[Symbol.asyncDispose]();
    await engine?.[Symbol.asyncDispose]();
  });

  test('the engine is usable, with its versions and what it cannot enforce', async () => {
    const report = await sandboxes.runtime.inspectHost();
    assert.ok(report.usable);
    assert.match(report.versions.docker ?? '', /^\d+\.\d+/);
    assert.ok(report.warnings.every((sentence) => sentence.length > 20));
  });

  test('a sandbox boots, answers Hello, and runs a command as its user', async () => {
    const { id, link } = await sandboxes.boot();
    const { exit, stdout } = await run(link, ['bash', '-c', 'id -un; pwd; touch x && ls'], {
      cwd: '/home/user',
    });
    assert.equal(exit.exitCode, 0);
    assert.equal(stdout, 'user\n/home/user\nx\n');
    await sandboxes.runtime.destroy(id);
  });

  test('a list has every container of this node, half-made ones too, and none of another node', async () => {
    const { id } = await sandboxes.boot();
    const halfMade = newSandboxId(0);
    await sandboxes.docker.createContainer({
      name: `warmpool-${halfMade}`,
      Image: tinyImage,
      Cmd: ['/hello'],
      Labels: { 'warmpool.sandbox': halfMade, 'warmpool.node': sandboxes.nodeId },
    });
    const listed = await sandboxes.runtime.list();
    const booted = listed.find((object) => object.sandboxId === id);
    assert.equal(booted?.running, true);
    assert.equal(booted?.storeId, 'store-1');
    assert.ok((booted?.ageMs ?? -1) >= 0 && (booted?.ageMs ?? 0) < 300_000);
    const unfinished = listed.find((object) => object.sandboxId === halfMade);
    assert.equal(unfinished?.running, false);
    assert.equal(unfinished?.storeId, null);
    await using stranger = new DockerSandboxes(engine.dockerHost);
    assert.deepEqual(await stranger.runtime.list(), []);
    await sandboxes.runtime.destroy(id);
    await sandboxes.runtime.destroy(halfMade);
  });

  test('half a frame of a node that died does not spoil the next link, and its processes are gone', async () => {
    const { transport } = await sandboxes.runtime.boot(bootRequest(), AbortSignal.timeout(60_000));
    const [{ sandboxId = '' } = {}] = (await sandboxes.runtime.list()).filter((object) => object.running);
    const first = await openLink(transport, false);
    const sleeper = await first.spawn(
      { argv: ['sleep', '1000'], env: { PATH: '/bin' }, cwd: '/', user: 'user', stdin: false, timeoutMs: 0 },
      { onOutput: () => undefined },
    );
    // The start of a frame that claims 4,096 bytes of payload.
    transport.write(Buffer.from('57504c31000010002000000005000000050102', 'hex'));
    first.close();
    await assert.rejects(sleeper.exited);

    await using laterNode = sandboxes.newRuntime();
    const adopted = await laterNode.adopt(sandboxId);
    assert.equal(adopted.resync, true);
    const link = await openLink(adopted.transport, adopted.resync);
    assert.equal(await shell(link, 'pgrep -c sleep || true'), '0\n');
    await sandboxes.runtime.destroy(sandboxId);
  });

  test('G9 D16 sandboxes of a node that was killed in the middle of everything are adopted', async (context) => {
    const script = nodeProgram('test/support/docker-node-process.ts');
    const node = spawn(process.execPath, [...script, engine.dockerHost, sandboxes.nodeId], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    context.after(() => node.kill('SIGKILL'));
    const said = once(node.stdout, 'data') as Promise<[Buffer]>;
    const [line] = await within(said, () => 'the node has booted nothing');
    const id = line.toString().trim();
    const exited = once(node, 'exit');
    node.kill('SIGKILL');
    await exited;
    const [object] = await sandboxes.runtime.list();
    assert.deepEqual([object?.sandboxId, object?.running], [id, true]);
    for (let links = 0; links < 3; links += 1) {
      const { transport, resync } = await sandboxes.runtime.adopt(id);
      const link = await openLink(transport, resync);
      assert.equal(await shell(link, 'pgrep -c yes || true'), '0\n');
      link.close();
    }
    await sandboxes.runtime.destroy(id);
  });

  test('a container that is killed from outside ends the link and is listed as not running', async () => {
    const { id, link } = await sandboxes.boot();
    await sandboxes.container(id).kill();
    await link.closed;
    const [object] = (await sandboxes.runtime.list()).filter(({ sandboxId }) => sandboxId === id);
    assert.equal(object?.running, false);
    await assert.rejects(sandboxes.runtime.adopt(id), hasCode('SANDBOX_FAILED'));
    await sandboxes.runtime.destroy(id);
  });

  test('a boot that is aborted at any moment leaves nothing', async () => {
    for (const delayMs of [0, 5, 20, 50, 100, 150]) {
      const abort = new AbortController();
      const booting = sandboxes.runtime.boot(bootRequest(), abort.signal);
      setTimeout(() => abort.abort(), delayMs);
      await booting.then(
        ({ transport }) => transport.destroy(),
        (error: unknown) => assert.ok(isWarmpoolError(error) && error.code === 'CANCELLED', String(error)),
      );
      for (const { sandboxId, running } of await sandboxes.runtime.list()) {
        assert.ok(running, 'the abort came too late');
        await sandboxes.runtime.destroy(sandboxId);
      }
    }
    const aborted = AbortSignal.abort();
    await assert.rejects(sandboxes.runtime.boot(bootRequest(), aborted), hasCode('CANCELLED'));
    assert.deepEqual(await sandboxes.runtime.list(), []);
  });

  test('a boot that the engine refuses fails with its reason, and leaves nothing', async () => {
    const tooSmall = template({ resources: { memoryMb: 1 } });
    await assert.rejects(
      sandboxes.runtime.boot(bootRequest(tooSmall), AbortSignal.timeout(60_000)),
      (error) => {
        assert.ok(isWarmpoolError(error) && error.cause instanceof Error);
        assert.equal(error.code, 'BOOT_FAILED');
        assert.match(error.message, /memory/i);
        return true;
      },
    );
    assert.deepEqual(await sandboxes.runtime.list(), []);
  });

  test('a guest that cannot run ends the link with the reason from its stderr', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'warmpool-guest-'));
    try {
      const broken = join(folder, 'guest');
      await writeFile(broken, 'this is no program');
      await using runtime = sandboxes.newRuntime(broken);
      const boot = bootRequest();
      // Where the OCI runtime notices by itself, the boot fails; where the program is only found out later, the link.
      const opening = runtime
        .boot(boot, AbortSignal.timeout(60_000))
        .then(({ transport, resync }) => openLink(transport, resync));
      await assert.rejects(opening, /exec format error/);
      await runtime.destroy(boot.sandboxId);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test('a guest that ends at once ends the link, not the process that waits for it', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'warmpool-guest-'));
    try {
      const hello = join(folder, 'guest');
      await writeFile(hello, await compileHello());
      await using runtime = sandboxes.newRuntime(hello);
      const boot = bootRequest();
      const { transport, resync } = await runtime.boot(boot, AbortSignal.timeout(60_000));
      await assert.rejects(openLink(transport, resync), hasCode('GUEST_UNREACHABLE'));
      await runtime.destroy(boot.sandboxId);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test('a missing guest is a reason not to use the engine, and an error that says how to build it', async () => {
    await using runtime = sandboxes.newRuntime('/nowhere/guest');
    const report = await runtime.inspectHost();
    assert.ok(!report.usable && /build\.mjs/.test(report.reason));
    await assert.rejects(runtime.prepare(template()), /node guest\/build\.mjs/);
  });

  test('booting an id again replaces what a lost answer left behind', async () => {
    const { id } = await sandboxes.boot();
    const { link } = await sandboxes.boot(template(), id);
    assert.equal(await shell(link, 'echo again'), 'again\n');
    assert.equal((await sandboxes.runtime.list()).length, 1);
    await sandboxes.runtime.destroy(id);
  });

  test('destroying leaves no container, process, cgroup, mount or volume, and can be repeated', async () => {
    const volumes = await sandboxes.volumeNames();
    const { id, link } = await sandboxes.boot();
    await link.spawn(
      {
        argv: ['bash', '-c', 'setsid sleep 1000 & exec sleep 1000'],
        env: { PATH: '/bin' },
        cwd: '/',
        user: 'user',
        stdin: false,
        timeoutMs: 0,
      },
      { onOutput: () => undefined },
    );
    const { Id, State } = await sandboxes.container(id).inspect();
    assert.ok(existsSync(`/proc/${State.Pid}`));
    const members = cgroupMembers(State.Pid);
    assert.ok(members.length >= 1);
    await Promise.all([1, 2, 3].map(() => sandboxes.runtime.destroy(id)));
    assert.deepEqual(
      members.filter((pid) => existsSync(`/proc/${pid}`)),
      [],
    );
    assert.ok(!readFileSync('/proc/self/mountinfo', 'utf8').includes(Id));
    await link.closed;
    await sandboxes.runtime.destroy(id);
    await sandboxes.runtime.destroy(newSandboxId(0));
    assert.deepEqual(await sandboxes.volumeNames(), volumes);
  });

  test('ten sandboxes boot at the same time', async () => {
    const booted = await Promise.all(Array.from({ length: 10 }, () => sandboxes.boot()));
    const outputs = await Promise.all(
      booted.map(({ id, link }) => shell(link, `echo ${id}; cat /etc/hostname`)),
    );
    for (const [index, { id }] of booted.entries()) assert.equal(outputs[index], `${id}\n${id}\n`);
    assert.equal((await sandboxes.runtime.list()).length, 10);
    await Promise.all(booted.map(({ id }) => sandboxes.runtime.destroy(id)));
    assert.deepEqual(await sandboxes.runtime.list(), []);
  });

  test('a process that takes too much memory is killed, and the sandbox lives', async () => {
    const { id, link } = await sandboxes.boot(template({ resources: { memoryMb: 128 } }));
    const { exit } = await run(link, ['python3', '-c', 'b = bytearray(256 << 20)']);
    assert.equal(exit.signal, 9);
    assert.equal(await shell(link, 'echo alive'), 'alive\n');
    await sandboxes.runtime.destroy(id);
  });

  test('a fork bomb stops at the limit, and a neighbour does not notice', async () => {
    const { id, link } = await sandboxes.boot(template({ resources: { pids: 32 } }));
    const forkBomb = [
      'import os, time',
      'forked = 0',
      'try:',
      '  while forked < 1000:',
      '    if os.fork() == 0: time.sleep(1000)',
      '    forked += 1',
      'except BlockingIOError: print(forked)',
    ].join('\n');
    const { stdout } = await run(link, ['python3', '-c', forkBomb]);
    assert.ok(Number(stdout) > 8 && Number(stdout) < 32, stdout);
    assert.ok(cgroupMembers((await sandboxes.container(id).inspect()).State.Pid).length <= 32);
    await sandboxes.runtime.destroy(id);
    const { link: neighbour, id: neighbourId } = await sandboxes.boot();
    assert.equal(await shell(neighbour, 'echo alive'), 'alive\n');
    await sandboxes.runtime.destroy(neighbourId);
  });

  test('more cores than the host has are no error', async () => {
    const { id } = await sandboxes.boot(template({ resources: { cpu: 512 } }));
    await sandboxes.runtime.destroy(id);
  });

  test('D16 closing the runtime detaches and leaves the sandboxes running', async () => {
    const runtime = sandboxes.newRuntime();
    const boot = bootRequest();
    const { transport } = await runtime.boot(boot, AbortSignal.timeout(60_000));
    const link = await openLink(transport, false);
    await runtime[Symbol.asyncDispose]();
    await link.closed;
    const [object] = await sandboxes.runtime.list();
    assert.equal(object?.sandboxId, boot.sandboxId);
    assert.equal(object?.running, true);
    await sandboxes.runtime.destroy(boot.sandboxId);
  });
});

function cgroupMembers(pid: number): readonly number[] {
  const path = /:pids:(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))?.[1];
  if (path === undefined) return [pid];
  const procs = readFileSync(join('/sys/fs/cgroup/pids', path, 'cgroup.procs'), 'utf8');
  return procs.trim().split('\n').map(Number);
}
