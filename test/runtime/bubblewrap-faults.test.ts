import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { newSandboxId } from '../../src/domain/ids.ts';
import { packageRoot } from '../../src/package-root.ts';
import { BwrapProcess } from '../../src/runtime/bubblewrap/bwrap-process.ts';
import { processesNamed } from '../../src/runtime/bubblewrap/host-processes.ts';
import { HostUids } from '../../src/runtime/bubblewrap/host-uids.ts';
import {
  BubblewrapSandboxes,
  bubblewrapAsRoot,
  eventually,
  folderOf,
  groupsNamed,
  hostTemplate,
  hostUidOf,
  processesOf,
  tracesOf,
} from '../support/bubblewrap-sandboxes.ts';
import { shell } from '../support/docker-sandboxes.ts';
import { nodeProgram } from '../support/node-program.ts';

describe('faults under the bubblewrap runtime', await bubblewrapAsRoot(), () => {
  let sandboxes: BubblewrapSandboxes;
  before(async () => {
    sandboxes = new BubblewrapSandboxes();
    await sandboxes.runtime.prepare(hostTemplate());
  });
  after(() => sandboxes[Symbol.asyncDispose]());

  const request = (sandboxId: string) => ({
    sandboxId,
    pool: 'test',
    storeId: 'store-1',
    template: hostTemplate(),
  });

  test('an aborted boot leaves nothing, whenever the abort comes', async () => {
    let cancelled = 0;
    for (let delayMs = 0; delayMs <= 40; delayMs += 2) {
      const sandboxId = newSandboxId(0);
      const abort = new AbortController();
      const timer = setTimeout(() => abort.abort(), delayMs);
      const outcome = await sandboxes.runtime.boot(request(sandboxId), abort.signal).then(
        () => 'booted',
        (error: { code: string }) => error.code,
      );
      clearTimeout(timer);
      if (outcome === 'booted') await sandboxes.runtime.destroy(sandboxId);
      else {
        assert.equal(outcome, 'CANCELLED');
        cancelled += 1;
      }
      assert.deepEqual(tracesOf(sandboxes, sandboxId, null), [], `abort after ${delayMs} ms`);
    }
    assert.ok(cancelled > 3, `${cancelled} boots were cut`);
    const now = new AbortController();
    now.abort();
    await assert.rejects(sandboxes.runtime.boot(request(newSandboxId(0)), now.signal), { code: 'CANCELLED' });
    assert.deepEqual(await sandboxes.runtime.list(), []);
  });

  test('destroy ends a boot that is under way', async () => {
    for (const turns of [0, 5, 20, 60]) {
      const sandboxId = newSandboxId(0);
      const boot = sandboxes.runtime.boot(request(sandboxId), new AbortController().signal);
      const outcome = boot.then(
        () => 'booted',
        (error: { code: string }) => error.code,
      );
      for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      await sandboxes.runtime.destroy(sandboxId);
      assert.match(await outcome, /booted|CANCELLED/);
      assert.deepEqual(tracesOf(sandboxes, sandboxId, null), []);
    }
  });

  test('a boot that cannot succeed says what bubblewrap said and leaves nothing', async () => {
    // Below the test run's own folder it could not be reached by other uids.
    const root = mkdtempSync('/var/tmp/warmpool-root-');
    try {
      chmodSync(root, 0o755);
      mkdirSync(join(root, 'data'));
      const template = hostTemplate({ rootfs: root });
      await sandboxes.runtime.prepare(template);
      rmSync(join(root, 'data'), { recursive: true });
      const sandboxId = newSandboxId(0);
      await assert.rejects(
        sandboxes.runtime.boot({ ...request(sandboxId), template }, AbortSignal.timeout(60_000)),
        (error: { code: string; message: string }) => {
          assert.equal(error.code, 'BOOT_FAILED');
          assert.match(error.message, /data: No such file or directory/);
          return true;
        },
      );
      assert.deepEqual(tracesOf(sandboxes, sandboxId, null), []);
    } finally {
      rmSync(root, { recursive: true, force: true });
    }
  });

  test('the link of a sandbox that is killed says so', async () => {
    const { id, link } = await sandboxes.boot();
    const [inner] = processesOf(hostUidOf(sandboxes, id)).sort((one, other) => other - one);
    assert.ok(inner);
    process.kill(inner, 'SIGKILL');
    assert.match(await link.closed, /SIGKILL|code 137|closed/);
    await sandboxes.runtime.destroy(id);
  });

  test('D16 B5 kill -9 of the node ends its sandboxes, and its next start finds and removes what is left', async () => {
    const node = await NodeProcess.start(3);
    const later = new BubblewrapSandboxes(node.stateFolder, node.nodeId);
    try {
      const uids = node.ids.map((id) => hostUidOf(later, id));
      await eventually(() => uids.every((uid) => processesOf(uid).length >= 5), 'each runs, with daemons');
      await node.kill();
      await eventually(() => uids.every((uid) => processesOf(uid).length === 0), 'the sandboxes end');
      const found = await later.runtime.list();
      assert.deepEqual(found.map(({ sandboxId }) => sandboxId).sort(), [...node.ids].sort());
      for (const object of found) {
        assert.equal(object.storeId, 'store-1');
        assert.equal(object.running, false);
        await later.runtime.destroy(object.sandboxId);
      }
      assert.deepEqual(await later.runtime.list(), []);
      node.ids.forEach((id, index) => {
        assert.deepEqual(tracesOf(later, id, uids[index] ?? null), []);
      });
      const { id, link } = await later.boot();
      assert.equal(await shell(link, 'echo again'), 'again\n');
      assert.deepEqual(templateFoldersOf(later, node.pid), [], 'what the dead process prepared');
      await later.runtime.destroy(id);
    } finally {
      await node.kill();
      await later[Symbol.asyncDispose]();
    }
  });

  test('B15 without root it works for development: its own uid, no limits, and it says so', async (context) => {
    const readable = spawnSync(
      process.execPath,
      ['-e', `require('fs').readFileSync('${packageRoot()}/package.json')`],
      {
        uid: nobody,
        gid: nobody,
      },
    );
    if (readable.status !== 0) return context.skip('the package lies where others cannot read it');
    const node = await NodeProcess.start(1, nobody);
    try {
      const [id = ''] = node.ids;
      const named = () => processesNamed(`warmpool-${id}`);
      const [outer] = await named();
      assert.match(readFileSync(`/proc/${outer}/status`, 'utf8'), new RegExp(`^Uid:\\s+${nobody}\\s`, 'm'));
      assert.ok(node.warnings.some((sentence) => sentence.includes('for development only')));
      for (const limit of ['memory', 'cpu', 'pids'])
        assert.ok(
          node.warnings.some((sentence) => sentence.includes(`limit on ${limit} is not enforced`)),
          limit,
        );
      await node.kill();
      await eventually(async () => (await named()).length === 0, 'it ends with its node');
    } finally {
      await node.kill();
      rmSync(node.stateFolder, { recursive: true, force: true });
    }
  });

  test('D14 what a crash left at any step is listed and removed', async () => {
    const uids = new HostUids();
    const [bare, lent, noted, grouped] = [0, 1, 2, 3].map(() => newSandboxId(0)) as [
      string,
      string,
      string,
      string,
    ];
    for (const id of [bare, lent, noted]) mkdirSync(folderOf(sandboxes, id), { recursive: true });
    const lentUid = await uids.lend(folderOf(sandboxes, lent));
    const notedUid = await uids.lend(folderOf(sandboxes, noted));
    writeFileSync(
      join(folderOf(sandboxes, noted), 'sandbox.json'),
      JSON.stringify({ storeId: 'store-2', hostUid: notedUid }),
    );
    // A neighbour in the same folder of groups shows where ours are.
    const { id: neighbour } = await sandboxes.boot();
    for (const group of groupsNamed(neighbour)) {
      for (const id of [noted, grouped]) mkdirSync(join(group, '..', id));
    }
    await sandboxes.runtime.destroy(neighbour);
    // A process that runs under the lent uid and was never moved into the group.
    const stray = spawn('/bin/sleep', ['600'], { uid: notedUid, gid: notedUid, stdio: 'ignore' });
    const strayEnded = once(stray, 'exit');

    const { id: own } = await sandboxes.boot();
    const found = new Map((await sandboxes.runtime.list()).map((object) => [object.sandboxId, object]));
    assert.equal(found.get(own)?.leftOver, false);
    await sandboxes.runtime.destroy(own);
    found.delete(own);
    assert.ok([...found.values()].every(({ leftOver }) => leftOver));
    assert.deepEqual([...found.keys()].sort(), [bare, lent, noted, grouped].sort());
    assert.deepEqual(
      [bare, lent, noted, grouped].map((id) => found.get(id)?.storeId),
      [null, null, 'store-2', null],
    );
    assert.equal(found.get(noted)?.running, true);
    assert.equal(found.get(bare)?.running, false);
    for (const id of found.keys()) await sandboxes.runtime.destroy(id);
    await strayEnded;
    assert.deepEqual(await sandboxes.runtime.list(), []);
    assert.deepEqual(tracesOf(sandboxes, bare, null), []);
    assert.deepEqual(tracesOf(sandboxes, lent, lentUid), []);
    assert.deepEqual(tracesOf(sandboxes, noted, notedUid), []);
    assert.deepEqual(tracesOf(sandboxes, grouped, null), []);
  });

  test('D14 an inner process whose outer one was killed before it set it up is found and killed', async () => {
    // The one moment that die-with-parent does not cover: stopped by a signal, it lasts as long as the test needs.
    const sandboxId = newSandboxId(0);
    const folder = folderOf(sandboxes, sandboxId);
    mkdirSync(folder, { recursive: true });
    const hostUid = await new HostUids().lend(folder);
    writeFileSync(join(folder, 'sandbox.json'), JSON.stringify({ storeId: 'store-1', hostUid }));
    const argumentsPath = join(sandboxes.stateFolder, 'few-words');
    writeFileSync(argumentsPath, ['--unshare-all', '--die-with-parent', '--tmpfs', '/', ''].join('\0'));
    const started = BwrapProcess.start({ bwrapPath: '/usr/bin/bwrap', sandboxId, argumentsPath, hostUid });
    await eventually(() => processesOf(hostUid).length === 2, 'bubblewrap has forked');
    process.kill(started.outerPid ?? Number.NaN, 'SIGKILL');
    await started.ended;
    assert.equal(processesOf(hostUid).length, 1, 'the inner one waits for ever');
    const [object] = await sandboxes.runtime.list();
    assert.equal(object?.running, true);
    await sandboxes.runtime.destroy(sandboxId);
    await started.kill();
    assert.deepEqual(tracesOf(sandboxes, sandboxId, hostUid), []);
  });

  test('a loan whose state folder was removed by hand is taken back', async () => {
    const uids = new HostUids();
    const gone = mkdtempSync(join(tmpdir(), 'warmpool-gone-'));
    const uid = await uids.lend(gone);
    await uids.sweep();
    assert.deepEqual(await uids.lentTo(gone), [uid]);
    rmSync(gone, { recursive: true });
    await uids.sweep();
    assert.deepEqual(await uids.lentTo(gone), []);
  });
});

/** A node in a process of its own, to be killed. */
class NodeProcess {
  readonly stateFolder: string;
  readonly nodeId = nodeId;
  readonly ids: readonly string[];
  readonly warnings: readonly string[];
  readonly #child: ChildProcess;

  private constructor(options: {
    stateFolder: string;
    ids: readonly string[];
    warnings: readonly string[];
    child: ChildProcess;
  }) {
    this.stateFolder = options.stateFolder;
    this.ids = options.ids;
    this.warnings = options.warnings;
    this.#child = options.child;
  }

  static async start(count: number, uid?: number): Promise<NodeProcess> {
    // Another uid cannot pass through the folder of the test run.
    const parent = uid === undefined ? tmpdir() : '/var/tmp';
    const stateFolder = mkdtempSync(join(parent, 'warmpool-killed-'));
    if (uid !== undefined) chownSync(stateFolder, uid, uid);
    const script = nodeProgram('test/support/bubblewrap-node-process.ts');
    const child = spawn(process.execPath, [...script, stateFolder, nodeId, String(count)], {
      cwd: packageRoot(),
      stdio: ['ignore', 'pipe', 'inherit'],
      ...(uid === undefined ? {} : { uid, gid: uid, env: { PATH: process.env.PATH, TMPDIR: stateFolder } }),
    });
    const ids: string[] = [];
    const warnings: string[] = [];
    for await (const line of createInterface(child.stdout)) {
      if (line.startsWith('warning: ')) warnings.push(line);
      else ids.push(line);
      if (ids.length === count) break;
    }
    return new NodeProcess({ stateFolder, ids, warnings, child });
  }

  get pid(): number {
    return this.#child.pid ?? Number.NaN;
  }

  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }
}

/** What a process has prepared, wherever sandboxes could reach it. */
function templateFoldersOf({ stateFolder }: BubblewrapSandboxes, pid: number): string[] {
  return [join(stateFolder, 'bubblewrap'), '/var/lib/warmpool-reach'].flatMap((folder) =>
    existsSync(folder)
      ? readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
          name.includes(`template-${pid}-`),
        )
      : [],
  );
}

const nodeId = 'killed-node';
const nobody = 65_534;
