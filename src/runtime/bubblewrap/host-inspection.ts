import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { access, chmod, copyFile, lstat, readFile, realpath, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { CgroupLimit, CgroupTree } from '../cgroup/cgroup-tree.ts';
import { cgroupLimits } from '../cgroup/cgroup-tree.ts';
import { findCgroups } from '../cgroup/find-cgroups.ts';
import { uidCount, uidFirst } from './host-uids.ts';
import { makeReachableFolder } from './reachable-folder.ts';

/** What sandboxes are made with on this host, found once. */
export interface BubblewrapHost {
  readonly bwrapPath: string;
  /** Whether each sandbox gets a host uid of its own. */
  readonly lendsUids: boolean;
  readonly cgroups: CgroupTree;
  /** A folder that every sandbox's uid can pass through. */
  readonly reachableFolder: string;
  /** The agent's binary in there. */
  readonly guestPath: string;
}

export type HostInspection =
  | {
      readonly usable: true;
      readonly host: BubblewrapHost;
      readonly versions: Readonly<Record<string, string>>;
      readonly warnings: readonly string[];
    }
  | { readonly usable: false; readonly reason: string };

export interface HostInspectionOptions {
  /** The runtime's own folder in the state folder. */
  readonly folder: string;
  readonly nodeKey: string;
  readonly guestPath: string;
  /** Where bwrap is looked for; the first that is there is taken. */
  readonly bwrapPaths: readonly string[];
}

export async function inspectBubblewrapHost(options: HostInspectionOptions): Promise<HostInspection> {
  const program = await findBwrap(options.bwrapPaths);
  if ('reason' in program) return { usable: false, reason: program.reason };
  const { bwrapPath, version } = program;
  const identity = await ownIdentity();
  if ('reason' in identity) return { usable: false, reason: identity.reason };
  try {
    await access(options.guestPath, constants.R_OK);
  } catch {
    return {
      usable: false,
      reason: `the guest agent is not at ${options.guestPath}: run node guest/build.mjs`,
    };
  }
  const candidates = [
    options.folder,
    ...(identity.lendsUids ? [`/var/lib/warmpool-reach/${options.nodeKey}`] : []),
  ];
  const reachableFolder = identity.lendsUids
    ? await makeReachableFolder(candidates)
    : await makeOwnFolder(options.folder);
  if (reachableFolder === null)
    return {
      usable: false,
      reason: `none of ${candidates.join(', ')} can be a folder that other uids may pass through`,
    };
  const guestPath = await placeGuest(options.guestPath, reachableFolder);
  const cgroups = await findCgroups({ nodeKey: options.nodeKey });
  return {
    usable: true,
    host: { bwrapPath, lendsUids: identity.lendsUids, cgroups, reachableFolder, guestPath },
    versions: { bubblewrap: version, cgroups: cgroups.version },
    warnings: [
      'sandboxes share the kernel of this host: right for code that may be wrong or curious, not for people who would bring a kernel exploit',
      'the files of a sandbox live in memory and count against memoryMb: diskMb bounds them, within three quarters of memoryMb',
      ...identity.warnings,
      ...(await missingLimits(cgroups.enforced)),
    ],
  };
}

/** "bubblewrap 0.8.0" and later forms of it; null when it is none. */
export function parseBwrapVersion(text: string): readonly [number, number, number] | null {
  const match = /^bubblewrap (\d+)\.(\d+)(?:\.(\d+))?/.exec(text);
  return match === null ? null : [Number(match[1]), Number(match[2]), Number(match[3] ?? 0)];
}

async function findBwrap(
  paths: readonly string[],
): Promise<{ readonly bwrapPath: string; readonly version: string } | { readonly reason: string }> {
  for (const path of paths) {
    const bwrapPath = await realpath(path).catch(() => null);
    if (bwrapPath === null) continue;
    if (((await lstat(bwrapPath)).mode & setIdBits) !== 0)
      return {
        reason: `${bwrapPath} is setuid, which lets anybody on this host misuse its bugs (CVE-2020-5291): chmod u-s,g-s ${bwrapPath}`,
      };
    const said = await run(bwrapPath, ['--version'], { env: {} }).catch((error: Error) => error.message);
    const text = typeof said === 'string' ? said : said.stdout.trim();
    const version = parseBwrapVersion(text);
    if (version === null) return { reason: `${bwrapPath} does not tell its version: ${text}` };
    const [major, minor] = version;
    if (major === 0 && minor < minorMin)
      return { reason: `${text} is too old: 0.${minorMin}.0 or newer is needed (--disable-userns)` };
    return { bwrapPath, version: version.join('.') };
  }
  return { reason: 'bwrap is not installed (Debian: apt-get install bubblewrap)' };
}

/**
 * Root that may change its uid lends host uids. Root that may not is refused: a sandbox under host uid 0 could write
 * the host's settings below /proc/sys (B1). Anybody else shares the own uid, for development.
 */
async function ownIdentity(): Promise<
  { readonly lendsUids: boolean; readonly warnings: readonly string[] } | { readonly reason: string }
> {
  const uid = process.geteuid?.() ?? -1;
  if (uid !== 0)
    return {
      lendsUids: false,
      warnings: [
        `this service is not root, so its sandboxes share its own uid ${uid} and are told apart by namespaces alone: for development only`,
      ],
    };
  const capabilities = BigInt(
    `0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(await readFile('/proc/self/status', 'utf8'))?.[1] ?? '0'}`,
  );
  const needed = capabilityBits.KILL | capabilityBits.SETGID | capabilityBits.SETUID;
  if ((capabilities & needed) !== needed)
    return {
      reason:
        'this service is root but may not change uids (CAP_SETUID, CAP_SETGID, CAP_KILL): sandboxes never run as root',
    };
  if (!isMapped(await readFile('/proc/self/uid_map', 'utf8')))
    return {
      reason: `the host uids ${uidFirst} to ${uidFirst + uidCount - 1} are not mapped in this user namespace`,
    };
  return { lendsUids: true, warnings: [] };
}

/** Whether the whole range of uids lies in one line of a uid_map. */
function isMapped(uidMap: string): boolean {
  return uidMap.split('\n').some((line) => {
    const [first = Number.NaN, , count = 0] = line.trim().split(/\s+/).map(Number);
    return first <= uidFirst && first + count >= uidFirst + uidCount;
  });
}

async function missingLimits(enforced: ReadonlySet<CgroupLimit>): Promise<readonly string[]> {
  const hasSwap = /^SwapTotal:\s+[1-9]/m.test(await readFile('/proc/meminfo', 'utf8').catch(() => ''));
  return cgroupLimits
    .filter((limit) => !enforced.has(limit))
    .filter((limit) => limit !== 'swap' || (hasSwap && enforced.has('memory')))
    .map((limit) => `this host grants no control group for it, so the limit on ${limit} is not enforced`);
}

async function makeOwnFolder(folder: string): Promise<string | null> {
  // The sandboxes have the same uid, so whatever this process can make they can reach.
  return (await makeReachableFolder([folder])) ?? ((await stat(folder).catch(() => null)) ? folder : null);
}

/** A copy, because the package may lie where other uids cannot pass; named by content, so never half of another. */
async function placeGuest(guestPath: string, folder: string): Promise<string> {
  const digest = createHash('sha256')
    .update(await readFile(guestPath))
    .digest('hex');
  const placed = join(folder, `guest-${digest.slice(0, 16)}`);
  await copyFile(guestPath, `${placed}.new`);
  await chmod(`${placed}.new`, 0o555);
  await rename(`${placed}.new`, placed);
  return placed;
}

const run = promisify(execFile);
/** The first with --disable-userns. */
const minorMin = 8;
/** S_ISUID and S_ISGID. */
const setIdBits = 0o6000;
const capabilityBits = { KILL: 1n << 5n, SETGID: 1n << 6n, SETUID: 1n << 7n };
