import { constants } from 'node:fs';
import { access, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf, removeEmptyFolders, writeControl } from './cgroup-files.ts';
import { type CgroupTree, NoCgroupTree } from './cgroup-tree.ts';
import { type CgroupV1Controller, CgroupV1Tree } from './cgroup-v1-tree.ts';
import { CgroupV2Tree } from './cgroup-v2-tree.ts';

/** Where the kernel's account of mounts is read; tests give a file of another host. */
export interface CgroupSearch {
  readonly nodeKey: string;
  readonly mountInfoPath?: string;
}

export interface CgroupMount {
  readonly mountPoint: string;
  readonly version: 'v1' | 'v2';
  readonly controllers: ReadonlySet<string>;
}

/**
 * Finds what the host grants. Groups are made below the root of each hierarchy as this process sees it, as engines do:
 * the place must be the same at the next start, whatever group that start happens in.
 *
 * On a hybrid host the controllers sit in the first generation and the unified hierarchy carries none, so the first
 * generation is used where it has any of ours.
 */
export async function findCgroups(search: CgroupSearch): Promise<CgroupTree> {
  const mounts = parseCgroupMounts(await readFile(search.mountInfoPath ?? '/proc/self/mountinfo', 'utf8'));
  const folderOf = (mount: CgroupMount) => join(mount.mountPoint, 'warmpool', search.nodeKey);
  const folders: Partial<Record<CgroupV1Controller, string>> = {};
  for (const controller of v1Controllers) {
    const mount = mounts.find((each) => each.version === 'v1' && each.controllers.has(controller));
    if (mount !== undefined && (await canMake(folderOf(mount)))) folders[controller] = folderOf(mount);
  }
  if (folders.memory !== undefined || folders.pids !== undefined || folders.cpu !== undefined) {
    const swap =
      folders.memory !== undefined && (await isThere(join(folders.memory, '..', '..', memoryAndSwapFile)));
    return new CgroupV1Tree({ folders, swap });
  }
  const unified = mounts.find((each) => each.version === 'v2');
  if (unified === undefined) return new NoCgroupTree();
  return (await openUnified(unified.mountPoint, folderOf(unified))) ?? new NoCgroupTree();
}

/** Lines of /proc/self/mountinfo: fields, a lone dash, then type, source and the options of the file system. */
export function parseCgroupMounts(mountInfo: string): readonly CgroupMount[] {
  return mountInfo.split('\n').flatMap((line) => {
    const [left = '', right = ''] = line.split(' - ');
    const [type, , options = ''] = right.split(' ');
    const mountPoint = left.split(' ')[4];
    if (mountPoint === undefined || (type !== 'cgroup' && type !== 'cgroup2')) return [];
    return {
      mountPoint: mountPoint.replaceAll('\\040', ' '),
      version: type === 'cgroup' ? ('v1' as const) : ('v2' as const),
      controllers: new Set(options.split(',')),
    };
  });
}

/** The controllers must be handed down twice: to the folder all nodes share, and to the node's own. */
async function openUnified(root: string, folder: string): Promise<CgroupTree | null> {
  if (!(await canMake(folder))) return null;
  const controllers = new Set<'memory' | 'cpu' | 'pids'>();
  for (const controller of ['memory', 'cpu', 'pids'] as const) {
    try {
      for (const each of [root, join(root, 'warmpool'), folder])
        await writeControl(each, 'cgroup.subtree_control', `+${controller}`);
      controllers.add(controller);
    } catch {
      // ENOENT: not in this kernel or not granted. EBUSY: processes sit in the root of a container's own hierarchy.
    }
  }
  if (controllers.size > 0) return new CgroupV2Tree({ folder, controllers });
  await removeEmptyFolders(folder);
  return null;
}

async function canMake(folder: string): Promise<boolean> {
  try {
    await mkdir(folder, { recursive: true });
    return true;
  } catch (error) {
    if (['EROFS', 'EACCES', 'EPERM', 'ENOENT', 'ENOSPC'].includes(codeOf(error))) return false;
    throw error;
  }
}

async function isThere(path: string): Promise<boolean> {
  try {
    await access(path, constants.F_OK);
    return true;
  } catch {
    return false;
  }
}

const v1Controllers: readonly CgroupV1Controller[] = ['memory', 'pids', 'cpu', 'freezer'];
const memoryAndSwapFile = 'memory.memsw.limit_in_bytes';
