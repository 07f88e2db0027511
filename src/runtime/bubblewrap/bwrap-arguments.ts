import type { Resources } from '../../domain/pool-spec.ts';
import type { Account } from './accounts.ts';
import type { RootStep } from './sandbox-root.ts';

export interface SandboxShape {
  readonly account: Account;
  readonly root: readonly RootStep[];
  readonly resources: Resources;
  /** The agent's binary where the sandbox's uid can reach it. */
  readonly guestPath: string;
  /** Files of /proc that show the host, as far as this kernel has them. */
  readonly maskedFiles: readonly string[];
}

/** Where the agent lies inside. Nothing of a root is there, and it is named in no PATH. */
export const guestInside = '/.warmpool/guest';

/**
 * What bubblewrap is told, in the order it acts. The numbers are the rows of HARDENING.md, section 4. These words are the
 * same for all sandboxes of a template and reach it by a descriptor, so that no process list shows them (B12).
 */
export function bwrapArguments(shape: SandboxShape): readonly string[] {
  const words = (...list: (string | number)[]) => list.map(String);
  const { account, root, guestPath, maskedFiles } = shape;
  const disk = planDisk(shape.resources);
  return [
    // B9, B11: every namespace, and none nested in it.
    ...words('--unshare-all', '--unshare-user', '--disable-userns'),
    ...words('--uid', account.uid, '--gid', account.gid),
    // B4, B5.
    ...words('--as-pid-1', '--new-session', '--die-with-parent', '--cap-drop', 'ALL'),
    // B12: what commands get is in their start frame.
    ...words('--clearenv', '--setenv', 'PATH', '/usr/local/bin:/usr/bin:/bin'),
    // B8: one bound for all files of the sandbox.
    ...words('--size', disk.rootBytes, '--tmpfs', '/'),
    ...root.flatMap(stepWords),
    ...words('--ro-bind', guestPath, guestInside),
    // B2, B3.
    ...words('--proc', '/proc', '--ro-bind', '/proc/sys', '/proc/sys'),
    ...maskedFiles.flatMap((path) => words('--ro-bind', '/dev/null', path)),
    // B8: the file system of /dev has no bound and belongs to the sandbox, so it is closed once /dev/shm is in it.
    ...words('--dev', '/dev', '--size', disk.shmBytes, '--perms', '1777', '--tmpfs', '/dev/shm'),
    ...words('--remount-ro', '/dev', '--chdir', '/'),
  ];
}

/**
 * Files live in memory and count against it, so together they get at most a share of it: a full disk must be ENOSPC for
 * the writer, not the end of a process.
 */
export function planDisk(resources: Pick<Resources, 'diskMb' | 'memoryMb'>): {
  readonly rootBytes: number;
  readonly shmBytes: number;
} {
  const bytes = Math.min(resources.diskMb * mebibyte, resources.memoryMb * mebibyte * memoryShareMax);
  const shmBytes = wholePages(Math.min(bytes / 8, shmBytesMax));
  return { rootBytes: wholePages(bytes - shmBytes), shmBytes };
}

function stepWords(step: RootStep): readonly string[] {
  switch (step.kind) {
    case 'bind':
      return ['--ro-bind', step.source, step.at];
    case 'link':
      return ['--symlink', step.target, step.at];
    case 'folder':
      return ['--perms', step.mode.toString(8).padStart(4, '0'), '--dir', step.at];
    case 'cover':
      return ['--size', String(pageBytes), '--tmpfs', step.at, '--remount-ro', step.at];
  }
}

function wholePages(bytes: number): number {
  return Math.max(pageBytes, Math.floor(bytes / pageBytes) * pageBytes);
}

const mebibyte = 1_048_576;
const pageBytes = 4_096;
/** A quarter stays for processes however full the disk is. */
const memoryShareMax = 0.75;
/** What engines give a container. */
const shmBytesMax = 64 * mebibyte;
/** Names of other sandboxes' keys, kernel addresses and timers of the host (B3). */
export const hostFilesInProc = ['/proc/keys', '/proc/key-users', '/proc/kallsyms', '/proc/timer_list'];
