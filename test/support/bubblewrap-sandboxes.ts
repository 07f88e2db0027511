import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SystemClock } from '../../src/domain/clock.ts';
import { newSandboxId } from '../../src/domain/ids.ts';
import type { Resources, TemplateSpec } from '../../src/domain/pool-spec.ts';
import { BubblewrapRuntime } from '../../src/runtime/bubblewrap/bubblewrap-runtime.ts';
import { guestPath, openLink, type RunningSandbox } from './docker-sandboxes.ts';
import { requirement } from './requirements.ts';
import { until } from './until.ts';

/** Real bubblewrap with all its means: own uids and control groups are for root alone. */
export async function bubblewrapAsRoot(): Promise<{ readonly skip: string | false }> {
  const needed = await Promise.all([requirement('bubblewrap'), requirement('root')]);
  return needed.find(({ skip }) => skip !== false) ?? { skip: false };
}

/** A BubblewrapRuntime with a state folder of its own. Disposing destroys all its sandboxes and the folder. */
export class BubblewrapSandboxes implements AsyncDisposable {
  readonly stateFolder: string;
  readonly nodeId: string;
  readonly warnings: string[] = [];
  readonly runtime: BubblewrapRuntime;

  constructor(
    stateFolder = mkdtempSync(join(tmpdir(), 'warmpool-bwrap-')),
    nodeId = `test-${randomBytes(6).toString('hex')}`,
  ) {
    this.stateFolder = stateFolder;
    this.nodeId = nodeId;
    chmodSync(stateFolder, 0o711);
    this.runtime = this.newRuntime();
  }

  /** As a later process of the same node would have it. */
  newRuntime(): BubblewrapRuntime {
    const deps = { clock: new SystemClock(), warn: (sentence: string) => void this.warnings.push(sentence) };
    return new BubblewrapRuntime(deps, { stateFolder: this.stateFolder, nodeId: this.nodeId, guestPath });
  }

  async boot(spec: TemplateSpec = hostTemplate(), id = newSandboxId(0)): Promise<RunningSandbox> {
    const request = { sandboxId: id, pool: 'test', storeId: 'store-1', template: spec };
    const { transport, resync } = await this.runtime.boot(request, AbortSignal.timeout(bootMsMax));
    return { id, link: await openLink(transport, resync) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { sandboxId } of await this.runtime.list()) await this.runtime.destroy(sandboxId);
    await this.runtime[Symbol.asyncDispose]();
    rmSync(this.stateFolder, { recursive: true, force: true });
  }
}

export function hostTemplate(
  changes: Partial<Omit<TemplateSpec, 'resources'>> & { readonly resources?: Partial<Resources> } = {},
): TemplateSpec {
  return {
    image: '',
    rootfs: 'host',
    runtime: 'bubblewrap',
    ociRuntime: '',
    user: 'user',
    cwd: '/home/user',
    env: {},
    warmup: [],
    ready: { exec: ['true'] },
    bootTimeoutMs: bootMsMax,
    ...changes,
    resources: { cpu: 1, memoryMb: 128, diskMb: 32, pids: 64, ...changes.resources },
  };
}

/** Everything on this host that carries the sandbox's id or its uid, a line each. */
export function tracesOf(
  sandboxes: BubblewrapSandboxes,
  sandboxId: string,
  hostUid: number | null,
): string[] {
  const processes = pids().filter(
    (pid) =>
      read(`/proc/${pid}/cmdline`).startsWith(`warmpool-${sandboxId}\0`) ||
      (hostUid !== null && uidOf(pid) === hostUid),
  );
  return [
    ...processes.map((pid) => `process ${pid}`),
    ...groupsNamed(sandboxId).map((path) => `control group ${path}`),
    ...read('/proc/self/mountinfo')
      .split('\n')
      .filter((line) => line.includes(sandboxId) || line.includes(sandboxes.stateFolder))
      .map((line) => `mount ${line}`),
    ...(existsSync(folderOf(sandboxes, sandboxId)) ? ['folder'] : []),
    ...loans()
      .filter(({ uid, borrower }) => uid === hostUid || borrower.endsWith(`/${sandboxId}`))
      .map(({ uid }) => `loan of uid ${uid}`),
  ];
}

export function folderOf(sandboxes: BubblewrapSandboxes, sandboxId: string): string {
  return join(sandboxes.stateFolder, 'bubblewrap', 'sandboxes', sandboxId);
}

/** The host uid that a sandbox runs under, from what is written down of it. */
export function hostUidOf(sandboxes: BubblewrapSandboxes, sandboxId: string): number {
  return JSON.parse(readFileSync(join(folderOf(sandboxes, sandboxId), 'sandbox.json'), 'utf8')).hostUid;
}

/** The two processes of a sandbox on the host: bubblewrap's outer one, and process 1. */
export function rootProcessesOf(hostUid: number): { outer: number; inner: number } {
  const own = processesOf(hostUid);
  const outer = own.find((pid) => !own.includes(parentOf(pid)));
  const inner = own.find((pid) => parentOf(pid) === outer);
  if (outer === undefined || inner === undefined) throw new Error(`uid ${hostUid} runs no sandbox`);
  return { outer, inner };
}

/** Living processes of that uid, zombies not among them. */
export function processesOf(hostUid: number): number[] {
  return pids().filter((pid) => uidOf(pid) === hostUid);
}

/** The folders of one sandbox's control group: one, or on a host of the first generation one per controller. */
export function groupsNamed(sandboxId: string): string[] {
  const found: string[] = [];
  const look = (folder: string, depth: number) => {
    for (const name of foldersIn(folder)) {
      if (name === sandboxId) found.push(join(folder, name));
      else if (depth === 0 || name === 'warmpool' || folder.endsWith('/warmpool'))
        look(join(folder, name), depth + 1);
    }
  };
  look('/sys/fs/cgroup', 0);
  return found;
}

export function groupFileOf(sandboxId: string, file: string): string | null {
  for (const folder of groupsNamed(sandboxId)) {
    if (existsSync(join(folder, file))) return readFileSync(join(folder, file), 'utf8').trim();
  }
  return null;
}

/** As `until`; fails with the sentence when it takes too long. */
export function eventually(isSo: () => boolean | Promise<boolean>, sentence: string): Promise<void> {
  return until(isSo, sentence);
}

function loans(): { uid: number; borrower: string }[] {
  return list('/run/warmpool/uids').map((name) => ({
    uid: Number(name),
    borrower: read(`/run/warmpool/uids/${name}`),
  }));
}

function uidOf(pid: number): number | null {
  const status = read(`/proc/${pid}/status`);
  if (status === '' || /^State:\s+[ZX]/m.test(status)) return null;
  return Number(/^Uid:\s+(\d+)/m.exec(status)?.[1] ?? Number.NaN);
}

function parentOf(pid: number): number {
  return Number(/^PPid:\s+(\d+)/m.exec(read(`/proc/${pid}/status`))?.[1] ?? 0);
}

function pids(): number[] {
  return list('/proc').map(Number).filter(Number.isInteger);
}

function foldersIn(folder: string): string[] {
  return list(folder).filter((name) => {
    try {
      return statSync(join(folder, name)).isDirectory();
    } catch {
      return false;
    }
  });
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

const bootMsMax = 60_000;
