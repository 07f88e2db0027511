import type { Resources } from '../../domain/pool-spec.ts';

/**
 * Where a sandbox may write, and how much (HARDENING.md, K8). Two ways:
 *
 * - `quota`: the root is writable and the engine bounds it (`StorageOpt size`: overlay2 on xfs with pquota, btrfs, zfs).
 * - `memory`: the root is read-only, and what must be writable is a tmpfs of bounded size. Such files count as the
 *   sandbox's memory, so all of them together get at most `memoryShareMax` of it: a full disk must be ENOSPC for the
 *   writer, not the end of a process. An image's own files at those places are hidden.
 *
 * `diskMb` is the bound of everything together, split by weight. With the default pool (512 MB memory, 1024 MB disk) in
 * `memory` mode: 384 MB, of which 24 are /dev/shm, 192 home, 96 /tmp, 48 /var/tmp, 24 /run.
 */
export type DiskMode = 'quota' | 'memory';

export interface DiskLayout {
  readonly readonlyRoot: boolean;
  /** Bytes the engine lets the root grow; null: no quota. */
  readonly rootBytes: number | null;
  readonly shmBytes: number;
  /** Mount point → options, as the engine takes them. */
  readonly tmpfs: Readonly<Record<string, string>>;
}

/** The part of an image that decides where it must be writable. */
export interface WritablePlaces {
  /** The home of the template's user; null when it has none that can be covered. */
  readonly home: { readonly path: string; readonly uid: number; readonly gid: number } | null;
  /** VOLUME of the image: left alone, each would become a directory of the host without any bound. */
  readonly volumes: readonly string[];
}

export function planDisk(mode: DiskMode, resources: Resources, places: WritablePlaces): DiskLayout {
  const diskBytes = resources.diskMb * mebibyte;
  const bytes =
    mode === 'quota' ? diskBytes : Math.min(diskBytes, resources.memoryMb * mebibyte * memoryShareMax);
  const shmBytes = wholePages(Math.min(bytes / 16, shmBytesMax));
  const mounts = mountsOf(mode, places);
  const rootWeight = mode === 'quota' ? quotaRootWeight : 0;
  const weightSum = mounts.reduce((sum, mount) => sum + mount.weight, rootWeight);
  const bytesPerWeight = (bytes - shmBytes) / weightSum;
  return {
    readonlyRoot: mode === 'memory',
    rootBytes: mode === 'quota' ? wholePages(bytesPerWeight * rootWeight) : null,
    shmBytes,
    tmpfs: Object.fromEntries(
      mounts.map(({ path, options, weight }) => [
        path,
        `rw,nosuid,nodev,${options},size=${wholePages(bytesPerWeight * weight)}`,
      ]),
    ),
  };
}

interface WritableMount {
  readonly path: string;
  readonly options: string;
  readonly weight: number;
}

function mountsOf(mode: DiskMode, { home, volumes }: WritablePlaces): readonly WritableMount[] {
  const mounts: WritableMount[] = [
    { path: '/tmp', options: 'exec,mode=1777', weight: 4 },
    { path: '/run', options: 'noexec,mode=755', weight: 1 },
  ];
  if (mode === 'memory') {
    mounts.push({ path: '/var/tmp', options: 'exec,mode=1777', weight: 2 });
    if (home !== null) {
      mounts.push({ path: home.path, options: `exec,mode=700,uid=${home.uid},gid=${home.gid}`, weight: 8 });
    }
  }
  const covered = new Set(mounts.map((mount) => mount.path));
  for (const path of volumes) {
    if (!covered.has(path)) mounts.push({ path, options: 'exec,mode=1777', weight: 2 });
  }
  return mounts;
}

function wholePages(bytes: number): number {
  return Math.max(pageBytes, Math.floor(bytes / pageBytes) * pageBytes);
}

const mebibyte = 1_048_576;
const pageBytes = 4_096;
/** The rest of the memory is for processes. */
const memoryShareMax = 0.75;
/** HARDENING.md section 3; what Docker gives by default. */
const shmBytesMax = 64 * mebibyte;
/** Most of the disk where the root is the disk. */
const quotaRootWeight = 11;
