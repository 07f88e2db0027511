import type { Resources } from '../../domain/pool-spec.ts';
import { failpoint } from '../../failpoints.ts';
import type { CgroupTree } from '../cgroup/cgroup-tree.ts';
import { processName } from './bwrap-process.ts';
import { killAll, processesNamed, processesOfUid } from './host-processes.ts';
import type { HostUids } from './host-uids.ts';
import type { FoundSandbox, SandboxFolders } from './sandbox-folders.ts';

/** Owned by one sandbox while it is being made, so that a failure at any step leaves the truth behind. */
export interface Held {
  hostUid: number | null;
}

/**
 * What a sandbox holds on this host beside its processes: a folder, a uid, a control group. Made in this order and let go
 * in the opposite one, the folder being the anchor (D14):
 *
 *   folder ─▶ uid ─▶ note of both        folder ─▶ control group
 *
 * All of it works on what is there, not on memory, so that the next process can let go of what this one held.
 */
export class HostHoldings {
  readonly #folders: SandboxFolders;
  readonly #uids: HostUids;
  readonly #cgroups: CgroupTree;
  readonly #lendsUids: boolean;
  #swept: Promise<void> | null = null;

  constructor(deps: {
    readonly folders: SandboxFolders;
    readonly uids: HostUids;
    readonly cgroups: CgroupTree;
    readonly lendsUids: boolean;
  }) {
    this.#folders = deps.folders;
    this.#uids = deps.uids;
    this.#cgroups = deps.cgroups;
    this.#lendsUids = deps.lendsUids;
  }

  async make(sandboxId: string, storeId: string, resources: Resources, held: Held): Promise<void> {
    await this.#folders.make(sandboxId);
    const note = async () => {
      if (this.#lendsUids) held.hostUid = await this.#uids.lend(this.#folders.path(sandboxId));
      await this.#folders.write(sandboxId, { storeId, hostUid: held.hostUid });
    };
    // bubblewrap's outer process is counted with the sandbox's own; the agent is one of those, as under Docker.
    await allSettledOrThrow([
      note(),
      this.#cgroups.create(sandboxId, { ...resources, pids: resources.pids + 1 }),
    ]);
    failpoint('cgroup');
  }

  /** Everything held by sandboxes of this node; control groups without a folder are of before `startedAtMs`. */
  async list(startedAtMs: number): Promise<readonly FoundSandbox[]> {
    this.#swept ??= this.#uids.sweep();
    await this.#swept;
    // Groups first: one that is made between the two readings has its folder already.
    const groups = await this.#cgroups.list();
    const found = await this.#folders.list();
    const known = new Set(found.map(({ sandboxId }) => sandboxId));
    const bare: FoundSandbox[] = [];
    for (const sandboxId of groups) {
      // Somebody removed the state folder by hand. One that is being let go of right now is gone by the second look.
      if (known.has(sandboxId) || !(await this.#cgroups.list()).includes(sandboxId)) continue;
      bare.push({ sandboxId, note: null, madeAtMs: startedAtMs });
    }
    return [...found, ...bare];
  }

  async hasProcesses({ sandboxId, note }: FoundSandbox): Promise<boolean> {
    if (await this.#cgroups.isPopulated(sandboxId)) return true;
    const uid = note?.hostUid ?? null;
    return (await (uid === null ? processesNamed(processName(sandboxId)) : processesOfUid(uid))).length > 0;
  }

  /**
   * Kills whatever still runs and lets go of everything; each step is fine when its object is already gone. `held` is
   * null when another process made the sandbox. With `strays` it looks for processes that are in no group yet: a crash
   * or a cut boot may have left such; looking costs reading all of /proc.
   */
  async release(sandboxId: string, held: Held | null, { strays }: { strays: boolean }): Promise<void> {
    const folder = this.#folders.path(sandboxId);
    await this.#cgroups.kill(sandboxId);
    const uids = await this.#uidsOf(sandboxId, held);
    if (strays) await killStrays(sandboxId, uids);
    await this.#cgroups.remove(sandboxId);
    failpoint('unmount');
    for (const uid of uids) await this.#uids.giveBack(uid, folder);
    await this.#folders.remove(sandboxId);
  }

  exists(sandboxId: string): Promise<boolean> {
    return this.#folders.exists(sandboxId);
  }

  async #uidsOf(sandboxId: string, held: Held | null): Promise<readonly number[]> {
    const noted = held ?? (await this.#folders.read(sandboxId));
    if (noted !== null) return noted.hostUid === null ? [] : [noted.hostUid];
    return this.#uids.lentTo(this.#folders.path(sandboxId));
  }
}

/** Waits for all of them, also after one has failed: clean-up must not run beside a step that still makes things. */
export async function allSettledOrThrow<const T extends readonly unknown[]>(
  steps: T,
): Promise<{ -readonly [Index in keyof T]: Awaited<T[Index]> }> {
  await Promise.allSettled(steps);
  return Promise.all(steps);
}

/** By the sandbox's uid, which is its alone, or else by the name that bubblewrap was started under. */
async function killStrays(sandboxId: string, uids: readonly number[]): Promise<void> {
  const sentence = `the processes of sandbox ${sandboxId} do not die`;
  for (const uid of uids) await killAll(() => processesOfUid(uid), sentence);
  if (uids.length === 0) await killAll(() => processesNamed(processName(sandboxId)), sentence);
}
