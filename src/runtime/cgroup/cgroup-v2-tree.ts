import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
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

export interface CgroupV2Options {
  /** The node's folder in the unified hierarchy; its controllers are handed down to the groups in it. */
  readonly folder: string;
  readonly controllers: ReadonlySet<'memory' | 'cpu' | 'pids'>;
}

/** Control groups of the second generation: one folder per sandbox, and since Linux 5.14 one order kills it whole. */
export class CgroupV2Tree implements CgroupTree {
  readonly version = 'v2';
  readonly enforced: ReadonlySet<CgroupLimit>;
  readonly #folder: string;

  constructor(options: CgroupV2Options) {
    this.#folder = options.folder;
    this.enforced = new Set<CgroupLimit>([
      ...options.controllers,
      ...(options.controllers.has('memory') ? (['swap'] as const) : []),
    ]);
  }

  async create(name: string, resources: CgroupResources): Promise<void> {
    const group = join(this.#folder, name);
    await makeGroup(group);
    if (this.enforced.has('memory')) {
      await writeControl(group, 'memory.max', resources.memoryMb * mebibyte);
      // Missing where the kernel has no swap at all.
      await writeControlIfThere(group, 'memory.swap.max', 0);
    }
    if (this.enforced.has('pids')) await writeControl(group, 'pids.max', resources.pids);
    if (this.enforced.has('cpu')) {
      await writeControl(group, 'cpu.max', `${Math.ceil(resources.cpu * cpuPeriodUs)} ${cpuPeriodUs}`);
    }
  }

  async admit(name: string, pid: number): Promise<void> {
    await writeControl(join(this.#folder, name), 'cgroup.procs', pid);
  }

  async isPopulated(name: string): Promise<boolean> {
    try {
      const events = await readFile(join(this.#folder, name, 'cgroup.events'), 'utf8');
      return /^populated 1$/m.test(events);
    } catch (error) {
      if (isMissing(error)) return false;
      throw error;
    }
  }

  async kill(name: string): Promise<void> {
    const group = join(this.#folder, name);
    if (!(await this.isPopulated(name))) return;
    if (!(await writeControlIfThere(group, 'cgroup.kill', 1))) await this.#killFrozen(group);
    await untilDone(
      async () => !(await this.isPopulated(name)),
      `the processes of control group ${name} do not die`,
    );
  }

  async remove(name: string): Promise<void> {
    await removeGroup(join(this.#folder, name));
  }

  async list(): Promise<readonly string[]> {
    return groupsIn(this.#folder);
  }

  async removeFolder(): Promise<void> {
    await removeEmptyFolders(this.#folder);
  }

  /** Before 5.14. Unlike in the first generation a frozen process dies of SIGKILL at once. */
  async #killFrozen(group: string): Promise<void> {
    await writeControlIfThere(group, 'cgroup.freeze', 1);
    for (const pid of await processesIn(group)) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It went by itself.
      }
    }
  }
}

const mebibyte = 1_048_576;
/** The kernel's default; the quota is a share of it. */
const cpuPeriodUs = 100_000;
