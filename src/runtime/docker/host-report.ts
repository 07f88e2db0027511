import type Docker from 'dockerode';
import type { HostReport } from '../sandbox-runtime.ts';

/** What the engine says about itself, as far as it decides what can be enforced. */
export type EngineVersion = Awaited<ReturnType<Docker['version']>>;

/** The library types `info()` as `any`; these are the fields read here. */
export interface EngineInfo {
  readonly OSType?: string;
  readonly NCPU?: number;
  readonly Driver?: string;
  readonly DriverStatus?: readonly (readonly [string, string])[];
  readonly DefaultRuntime?: string;
  readonly Runtimes?: Readonly<
    Record<string, { readonly path?: string; readonly runtimeArgs?: readonly string[] }>
  >;
  readonly SecurityOptions?: readonly string[];
  readonly MemoryLimit?: boolean;
  readonly SwapLimit?: boolean;
  readonly PidsLimit?: boolean;
  readonly CpuCfsQuota?: boolean;
  readonly SystemTime?: string;
}

export function reportHost(version: EngineVersion, info: EngineInfo): HostReport {
  if (info.OSType !== undefined && info.OSType !== 'linux') {
    return {
      usable: false,
      reason: `the Docker engine runs ${info.OSType} containers; sandboxes need Linux`,
    };
  }
  return {
    usable: true,
    versions: {
      docker: version.Version,
      ...Object.fromEntries(runtimeVersions(version)),
      storage: info.Driver ?? 'unknown',
    },
    warnings: [
      ...oldVersions(version),
      ...missingLimits(info),
      ...weakIsolation(info),
      ...diskSentences(info),
    ],
  };
}

/** Newest fixes of escapes: HARDENING.md, end of section 8. */
const oldestSafe: Readonly<Record<string, string>> = { docker: '29.4.2', runc: '1.2.8' };

function oldVersions(version: EngineVersion): readonly string[] {
  return [['docker', version.Version] as const, ...runtimeVersions(version)].flatMap(([name, found]) => {
    const safe = oldestSafe[name];
    if (safe === undefined || !isOlder(found, safe)) return [];
    return [`${name} ${found} is older than ${safe} and lacks fixes for known container escapes: upgrade it`];
  });
}

function runtimeVersions(version: EngineVersion): readonly (readonly [string, string])[] {
  const wanted = ['runc', 'containerd'];
  return (version.Components ?? [])
    .filter((component) => wanted.includes(component.Name))
    .map((component) => [component.Name, component.Version] as const);
}

/** Compares the leading three numbers; anything after them (`+ds1`, `-rc1`, `~`) is ignored. */
export function isOlder(found: string, wanted: string): boolean {
  const [a, b] = [threeNumbers(found), threeNumbers(wanted)];
  for (const [index, number] of a.entries()) {
    const difference = number - (b[index] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}

function threeNumbers(version: string): readonly number[] {
  const match = /(\d+)\.(\d+)(?:\.(\d+))?/.exec(version);
  return match === null ? [0, 0, 0] : [Number(match[1]), Number(match[2]), Number(match[3] ?? 0)];
}

function missingLimits(info: EngineInfo): readonly string[] {
  const limits: readonly (readonly [boolean | undefined, string])[] = [
    [info.MemoryLimit, 'memory'],
    [info.SwapLimit, 'swap'],
    [info.PidsLimit, 'pids'],
    [info.CpuCfsQuota, 'cpu'],
  ];
  const missing = limits.filter(([enforced]) => enforced === false).map(([, name]) => name);
  const sentences =
    missing.length === 0 ? [] : [`the engine cannot limit ${missing.join(', ')} of a sandbox here`];
  for (const [name, { runtimeArgs }] of Object.entries(info.Runtimes ?? {})) {
    if (!(runtimeArgs ?? []).includes('--ignore-cgroups')) continue;
    sentences.push(
      `runtime ${name} is configured with --ignore-cgroups: memory, cpu and pids of its sandboxes are not limited`,
    );
  }
  return sentences;
}

function weakIsolation(info: EngineInfo): readonly string[] {
  const options = info.SecurityOptions ?? [];
  const sentences: string[] = [];
  if (!options.some((option) => option.startsWith('name=seccomp'))) {
    sentences.push("the engine filters no system calls (seccomp): only the guest's own filter is in force");
  }
  if (!options.some((option) => option.startsWith('name=userns') || option.startsWith('name=rootless'))) {
    sentences.push("the engine does not remap users (userns-remap): root in a sandbox is the host's uid 0");
  }
  if (sharesKernel(info.DefaultRuntime)) {
    sentences.push(
      `sandboxes on ${info.DefaultRuntime} share this host's kernel: that is for code that may be wrong or curious; ` +
        'code from people who would bring a kernel exploit needs ociRuntime: runsc or a virtual machine',
    );
  }
  return sentences;
}

function sharesKernel(runtime: string | undefined): boolean {
  return runtime !== 'runsc' && !(runtime ?? '').startsWith('kata');
}

function diskSentences(info: EngineInfo): readonly string[] {
  if (mayHaveQuota(info)) return [];
  return [
    `the engine cannot bound a container's disk on ${info.Driver ?? 'this storage'} ` +
      '(it can with overlay2 on xfs with pquota): sandboxes get a read-only root with home, /tmp, /var/tmp and /run in ' +
      'memory, together at most diskMb and three quarters of memoryMb',
  ];
}

/** Whether trying a quota is worth it; only a container made with one proves it. */
export function mayHaveQuota(info: EngineInfo): boolean {
  const onXfs = (info.DriverStatus ?? []).some(
    ([key, value]) => key === 'Backing Filesystem' && value === 'xfs',
  );
  return (info.Driver === 'overlay2' && onXfs) || info.Driver === 'btrfs' || info.Driver === 'zfs';
}
