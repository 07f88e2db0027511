import type { ContainerCreateOptions, HostConfig } from 'dockerode';
import type { BootRequest } from '../sandbox-runtime.ts';
import type { DiskLayout } from './disk-layout.ts';
import { guestPathInside } from './prepared-image.ts';

/**
 * The labels say who made a container and for what, and never anything that changes: labels cannot be edited, so a
 * lease or an incarnation read back from one would be stale (HARDENING.md, K7).
 */
export const labels = {
  sandbox: 'warmpool.sandbox',
  pool: 'warmpool.pool',
  node: 'warmpool.node',
  store: 'warmpool.store',
} as const;

export function containerName(sandboxId: string): string {
  return `warmpool-${sandboxId}`;
}

export interface ContainerPlan {
  readonly request: BootRequest;
  readonly nodeId: string;
  readonly preparedImage: string;
  readonly disk: DiskLayout;
  /** Cores of the engine's host: it refuses to be asked for more, and more would be no limit. */
  readonly hostCores: number;
}

/**
 * HARDENING.md section 3, row by row. What an image may bring along is put back to nothing here: its user, entry point,
 * working directory (CVE-2024-21626), and health check, which would be an exec inside the sandbox (K10).
 */
export function containerOptions(plan: ContainerPlan): ContainerCreateOptions & { name: string } {
  const { request } = plan;
  return {
    name: containerName(request.sandboxId),
    Image: plan.preparedImage,
    Entrypoint: [guestPathInside],
    Cmd: ['--link=reattach'],
    User: '0:0',
    WorkingDir: '/',
    Hostname: request.sandboxId,
    Healthcheck: { Test: ['NONE'] },
    Labels: {
      [labels.sandbox]: request.sandboxId,
      [labels.pool]: request.pool,
      [labels.node]: plan.nodeId,
      [labels.store]: request.storeId,
    },
    AttachStdin: true,
    AttachStdout: true,
    AttachStderr: true,
    OpenStdin: true,
    StdinOnce: false,
    Tty: false,
    HostConfig: hostConfig(plan),
  };
}

/** The library's type lacks `CgroupnsMode`. */
function hostConfig({ request, disk, hostCores }: ContainerPlan): HostConfig & { CgroupnsMode: 'private' } {
  const { resources, ociRuntime } = request.template;
  const memoryBytes = resources.memoryMb * mebibyte;
  const fileBytesMax = resources.diskMb * mebibyte;
  return {
    CapDrop: ['ALL'],
    CapAdd: ['SETUID', 'SETGID', 'KILL'],
    SecurityOpt: ['no-new-privileges:true'],
    NetworkMode: 'none',
    Privileged: false,
    PidMode: '',
    IpcMode: 'private',
    UsernsMode: '',
    UTSMode: '',
    CgroupnsMode: 'private',
    Binds: [],
    Devices: [],
    Init: false,
    RestartPolicy: { Name: 'no' },
    AutoRemove: false,
    Memory: memoryBytes,
    MemorySwap: memoryBytes,
    NanoCpus: Math.round(Math.min(resources.cpu, hostCores) * 1e9),
    PidsLimit: resources.pids,
    OomScoreAdj: oomScoreAdj,
    ShmSize: disk.shmBytes,
    Ulimits: [
      { Name: 'core', Soft: 0, Hard: 0 },
      { Name: 'nofile', Soft: openFilesMax, Hard: openFilesMax },
      { Name: 'fsize', Soft: fileBytesMax, Hard: fileBytesMax },
    ],
    LogConfig: { Type: 'none', Config: {} },
    Tmpfs: { ...disk.tmpfs },
    ReadonlyRootfs: disk.readonlyRoot,
    ...(disk.rootBytes === null ? {} : { StorageOpt: { size: String(disk.rootBytes) } }),
    ...(ociRuntime === '' ? {} : { Runtime: ociRuntime }),
  };
}

const mebibyte = 1_048_576;
/** Under memory pressure of the host a sandbox goes before anything of the host does. */
const oomScoreAdj = 500;
/**
 * Enough for build tools and dev servers with many watched files. Not above the hard limit an engine commonly runs with
 * itself (seen: 20,000): the OCI runtime may not raise it without CAP_SYS_RESOURCE, and the start fails.
 */
const openFilesMax = 16_384;
