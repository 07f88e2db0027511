import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  codeOf,
  groupsIn,
  isMissing,
  makeGroup,
  processesIn,
  removeEmptyFolders,
  removeGroup,
  untilDone,
  writeControl,
  writeControlIfThere,
} from './cgroup-files.ts';
import type { CgroupLimit, CgroupResources, CgroupTree } from './cgroup-tree.ts';

export type CgroupV1Controller = 'memory' | 'pids' | 'cpu' | 'freezer';

export interface CgroupV1Options {
  /** Controller → the node's folder in that controller's hierarchy. Two controllers may share one. */
  readonly folders: Readonly<Partial<Record<CgroupV1Controller, string>>>;
  /** Whether the memory controller accounts for swap. */
  readonly swap: boolean;
}

/**
 * Control groups of the first generation: one hierarchy per controller, so one group of a sandbox is a folder in each.
 *
 * There is no order to kill a group; a fork bomb outruns a loop over its processes. So the group is frozen first, every
 * process in it gets SIGKILL while none can fork, and thawing lets them die.
 */
export class CgroupV1Tree implements CgroupTree {
  readonly version = 'v1';
  readonly enforced: ReadonlySet<CgroupLimit>;
  readonly #controllers: CgroupV1Options['folders'];
  readonly #folders: readonly string[];

  constructor(options: CgroupV1Options) {
    const { memory, cpu, pids } = options.folders;
    this.#controllers = options.folders;
    this.#folders = [...new Set(Object.values(options.folders))];
    this.enforced = new Set<CgroupLimit>([
      ...(memory === undefined ? [] : (['memory'] as const)),
      ...(memory !== undefined && options.swap ? (['swap'] as const) : []),
      ...(cpu === undefined ? [] : (['cpu'] as const)),
      ...(pids === undefined ? [] : (['pids'] as const)),
    ]);
  }

  async create(name: string, resources: CgroupResources): Promise<void> {
    await Promise.all(this.#folders.map((folder) => makeGroup(join(folder, name))));
    const { memory, cpu, pids } = this.#controllers;
    await Promise.all([
      memory === undefined ? null : limitMemory(join(memory, name), resources.memoryMb * mebibyte),
      pids === undefined ? null : writeControl(join(pids, name), 'pids.max', resources.pids),
      cpu === undefined
        ? null
        : writeControl(join(cpu, name), 'cpu.cfs_quota_us', Math.ceil(resources.cpu * cpuPeriodUs)),
    ]);
  }

  async admit(name: string, pid: number): Promise<void> {
    await Promise.all(this.#folders.map((folder) => writeControl(join(folder, name), 'cgroup.procs', pid)));
  }

  async isPopulated(name: string): Promise<boolean> {
    return (await this.#processes(name)).length > 0;
  }

  async kill(name: string): Promise<void> {
    if (!(await this.isPopulated(name))) return;
    const freezer = this.#controllers.freezer;
    await untilDone(async () => {
      if (freezer !== undefined) await freeze(join(freezer, name));
      try {
        for (const pid of await this.#processes(name)) signalKill(pid);
      } finally {
        if (freezer !== undefined) await writeControlIfThere(join(freezer, name), 'freezer.state', 'THAWED');
      }
      return !(await this.isPopulated(name));
    }, `the processes of control group ${name} do not die`);
  }

  async remove(name: string): Promise<void> {
    await Promise.all(this.#folders.map((folder) => removeGroup(join(folder, name))));
  }

  async list(): Promise<readonly string[]> {
    const names = await Promise.all(this.#folders.map(groupsIn));
    return [...new Set(names.flat())];
  }

  async removeFolder(): Promise<void> {
    await Promise.all(this.#folders.map(removeEmptyFolders));
  }

  /** A process that was admitted halfway is in some of the hierarchies only. */
  async #processes(name: string): Promise<readonly number[]> {
    const pids = await Promise.all(this.#folders.map((folder) => processesIn(join(folder, name))));
    return [...new Set(pids.flat())];
  }
}

async function limitMemory(folder: string, bytes: number): Promise<void> {
  // Memory and swap together must never be below memory, so the order follows from the direction; a new group is
  // without limits, and an existing one had the same.
  await writeControl(folder, 'memory.limit_in_bytes', bytes);
  await writeControlIfThere(folder, 'memory.memsw.limit_in_bytes', bytes);
}

/**
 * Freezing is a request: while it is under way a fork may still succeed, and the child is frozen with the rest. The
 * bound is for a process in an uninterruptible wait, which can do no harm in there; the caller's loop comes back.
 */
async function freeze(folder: string): Promise<void> {
  if (!(await writeControlIfThere(folder, 'freezer.state', 'FROZEN'))) return;
  for (let attempt = 0; attempt < freezeReadsMax; attempt += 1) {
    try {
      if ((await readFile(join(folder, 'freezer.state'), 'utf8')).trim() === 'FROZEN') return;
    } catch (error) {
      if (isMissing(error)) return;
      throw error;
    }
  }
}

function signalKill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (codeOf(error) !== 'ESRCH') throw error;
  }
}

const mebibyte = 1_048_576;
/** The kernel's default; the quota is a share of it. */
const cpuPeriodUs = 100_000;
const freezeReadsMax = 100;
