import type { Resources } from '../../domain/pool-spec.ts';

/** What a kernel can be asked to enforce on a group of processes. */
export type CgroupLimit = 'memory' | 'swap' | 'cpu' | 'pids';
export const cgroupLimits: readonly CgroupLimit[] = ['memory', 'swap', 'cpu', 'pids'];

export type CgroupResources = Pick<Resources, 'cpu' | 'memoryMb' | 'pids'>;

/**
 * The port to the host's control groups: one group per sandbox, named by its id, below one folder per node. The two
 * generations of the kernel's interface are its adapters; a third stands in where the host grants none.
 *
 * Every step is idempotent, and a group that is gone counts as killed and removed.
 */
export interface CgroupTree {
  readonly version: 'v1' | 'v2' | 'none';
  readonly enforced: ReadonlySet<CgroupLimit>;
  /** Makes the group with its limits, before there is a process to put in. */
  create(name: string, resources: CgroupResources): Promise<void>;
  /** Moves a process in; what it forks later is born in the group. Throws when the process is gone. */
  admit(name: string, pid: number): Promise<void>;
  isPopulated(name: string): Promise<boolean>;
  /** Kills everything in the group, forks in flight too, and settles when it is empty. */
  kill(name: string): Promise<void>;
  remove(name: string): Promise<void>;
  /** The names of this node's groups, half-made ones too. */
  list(): Promise<readonly string[]>;
  /** Removes the node's folder where it is empty. */
  removeFolder(): Promise<void>;
}

/** Where the host grants no control group. Killing then rests on the process namespace alone. */
export class NoCgroupTree implements CgroupTree {
  readonly version = 'none';
  readonly enforced: ReadonlySet<CgroupLimit> = new Set();

  async create(): Promise<void> {}
  async admit(): Promise<void> {}
  async isPopulated(): Promise<boolean> {
    return false;
  }
  async kill(): Promise<void> {}
  async remove(): Promise<void> {}
  async list(): Promise<readonly string[]> {
    return [];
  }
  async removeFolder(): Promise<void> {}
}
