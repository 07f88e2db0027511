import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import Docker from 'dockerode';

const runFolderName = /^wpt-(\d+)$/;

/**
 * A temporary directory for one run: everything in it is ours by its place. Those of runs that were killed go. The
 * name is short, because sockets lie in it.
 */
export function makeRunFolder(parent: string): string {
  for (const name of list(parent)) {
    const owner = runFolderName.exec(name)?.[1];
    if (owner === undefined) continue;
    // In a container a run that was killed may have had this one's number.
    const isAbandoned = Number(owner) === process.pid || !existsSync(`/proc/${owner}`);
    if (isAbandoned && mountsBelow(join(parent, name)).length === 0) {
      rmSync(join(parent, name), { recursive: true, force: true });
    }
  }
  const folder = join(parent, `wpt-${process.pid}`);
  mkdirSync(folder);
  // As the temporary directory itself: sandboxes run under uids of their own.
  chmodSync(folder, 0o1777);
  return folder;
}

/**
 * What tests leave behind: processes, mounts, cgroups, containers, files. It marks what the run starts (an environment
 * variable that children inherit, a temporary directory of its own) and compares the rest with what was there before, so
 * that services and other test runs on the same machine are not taken for ours.
 *
 * Disposing removes what was found: a run that failed must not spoil the next.
 */
export class Leftovers implements AsyncDisposable {
  readonly #runFolder: string;
  readonly #dockerHost: string | null;
  readonly #mark: string;
  /** Within another run, as the runner's own tests are, what bears no mark is that one's: it is told and removed there. */
  readonly #isNested: boolean;
  readonly #graceMs: number;
  readonly #before: {
    readonly cgroups: ReadonlySet<string>;
    readonly containers: ReadonlySet<string>;
    readonly pids: ReadonlySet<number>;
  };

  private constructor(
    runFolder: string,
    dockerHost: string | null,
    mark: string,
    options: { isNested: boolean; graceMs: number },
    before: { cgroups: ReadonlySet<string>; containers: ReadonlySet<string>; pids: ReadonlySet<number> },
  ) {
    this.#runFolder = runFolder;
    this.#dockerHost = dockerHost;
    this.#mark = mark;
    this.#isNested = options.isNested;
    this.#graceMs = options.graceMs;
    this.#before = before;
  }

  static async watch(
    runFolder: string,
    dockerHost: string | null,
    graceMs = graceMsDefault,
  ): Promise<Leftovers> {
    const isNested = process.env.WARMPOOL_TEST_RUN !== undefined;
    const mark = `WARMPOOL_TEST_RUN=${basename(runFolder)}`;
    process.env.WARMPOOL_TEST_RUN = basename(runFolder);
    return new Leftovers(
      runFolder,
      dockerHost,
      mark,
      { isNested, graceMs },
      {
        cgroups: new Set(ourCgroups()),
        containers: new Set(await ourContainers(dockerHost)),
        pids: new Set(pids()),
      },
    );
  }

  /** A line for each thing; what is only on its way out gets some time. */
  async find(): Promise<readonly string[]> {
    const deadline = performance.now() + this.#graceMs;
    for (;;) {
      const found = [
        ...this.#processes().map((pid) => `process ${pid}: ${commandLine(pid)}`),
        ...this.#mounts().map((mountPoint) => `mount ${mountPoint}`),
        ...this.#cgroups().map((cgroup) => `cgroup ${cgroup}`),
        ...(await this.#containers()).map((id) => `container ${id}`),
        ...this.#files().map((name) => `file ${join(this.#runFolder, name)}`),
      ];
      if (found.length === 0 || performance.now() > deadline) return found;
      await delay(100);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const pid of this.#processes()) quietly(() => process.kill(pid, 'SIGKILL'));
    for (const mountPoint of this.#mounts().reverse()) {
      quietly(() => execFileSync('umount', ['-l', mountPoint], { stdio: 'ignore' }));
    }
    // Never through a mount: what is below may be the host's own root.
    if (this.#mounts().length === 0) rmSync(this.#runFolder, { recursive: true, force: true, maxRetries: 5 });
  }

  /**
   * Processes of this run: those that carry its mark, and guests and bwraps whose environment is bare, that are new
   * and that nobody else's process is a parent of.
   */
  #processes(): number[] {
    return pids().filter((pid) => {
      if (pid === process.pid || this.#before.pids.has(pid) || isZombie(pid)) return false;
      return this.#isMarked(pid) || (!this.#isNested && isSandboxProcess(pid) && this.#isOrphan(pid));
    });
  }

  /** By the environment it inherited, or, where a test gave it a bare one, by the run's folder in it or in its words. */
  #isMarked(pid: number): boolean {
    const words = `${read(`/proc/${pid}/environ`)}\0${read(`/proc/${pid}/cmdline`)}`;
    return words.split('\0').includes(this.#mark) || words.includes(`${this.#runFolder}/`);
  }

  #isOrphan(pid: number): boolean {
    let parent = parentOf(pid);
    while (parent > 1) {
      if (!isSandboxProcess(parent)) return this.#isMarked(parent);
      parent = parentOf(parent);
    }
    return true;
  }

  #mounts(): string[] {
    return mountsBelow(this.#runFolder);
  }

  #cgroups(): string[] {
    if (this.#isNested) return [];
    return ourCgroups().filter((cgroup) => !this.#before.cgroups.has(cgroup));
  }

  async #containers(): Promise<string[]> {
    return (await ourContainers(this.#dockerHost)).filter((id) => !this.#before.containers.has(id));
  }

  #files(): string[] {
    return list(this.#runFolder).filter((name) => !cachesOfTools.test(name));
  }
}

/** Killing is asynchronous, and so is a supervisor that sees its child's end. Only what is left costs so much. */
const graceMsDefault = 15_000;
/** tsx and Node keep what they compiled there. */
const cachesOfTools = /^(tsx-|node-compile-cache)/;
/** Deep enough for root/controller/slice/service/ours. */
const cgroupDepthMax = 4;

/** A guest by its path inside a sandbox or on the host, or the bwrap around one, which is named for its sandbox. */
function isSandboxProcess(pid: number): boolean {
  const program = read(`/proc/${pid}/cmdline`).split('\0')[0] ?? '';
  return program === '/.warmpool/guest' || /(^|\/)(bwrap|warmpool-[a-z0-9]+)$/.test(program);
}

/** Groups below one called `warmpool` with no process in them or in a child; one with processes belongs to those. */
function ourCgroups(): string[] {
  const found: string[] = [];
  const look = (folder: string, depth: number) => {
    for (const child of foldersIn(folder)) {
      if (basename(child).includes('warmpool')) found.push(...foldersIn(child).filter(isDeserted));
      else if (depth < cgroupDepthMax) look(child, depth + 1);
    }
  };
  look('/sys/fs/cgroup', 0);
  return found;
}

function isDeserted(cgroup: string): boolean {
  return read(join(cgroup, 'cgroup.procs')).trim() === '' && foldersIn(cgroup).every(isDeserted);
}

async function ourContainers(dockerHost: string | null): Promise<string[]> {
  if (dockerHost === null) return [];
  const docker = dockerHost.startsWith('unix://')
    ? new Docker({ socketPath: dockerHost.slice('unix://'.length) })
    : new Docker();
  try {
    const containers = await docker.listContainers({ all: true });
    return containers
      .filter((container) => Object.keys(container.Labels).some((label) => label.includes('warmpool')))
      .map((container) => container.Id);
  } catch {
    // The engine is gone; its containers are its stopper's business.
    return [];
  }
}

function mountsBelow(folder: string): string[] {
  return read('/proc/self/mountinfo')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((mountPoint) => mountPoint.startsWith(`${folder}/`));
}

function pids(): number[] {
  return list('/proc').map(Number).filter(Number.isInteger);
}

function commandLine(pid: number): string {
  return read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim().slice(0, 200);
}

function parentOf(pid: number): number {
  return Number(/^PPid:\s+(\d+)$/m.exec(read(`/proc/${pid}/status`))?.[1] ?? 0);
}

function isZombie(pid: number): boolean {
  return /^State:\s+Z/m.test(read(`/proc/${pid}/status`));
}

function foldersIn(path: string): string[] {
  try {
    return readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => join(path, entry.name));
  } catch {
    return [];
  }
}

/** Empty when it is gone or not ours to read. */
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

function quietly(action: () => void): void {
  try {
    action();
  } catch {
    // It went away by itself meanwhile.
  }
}
