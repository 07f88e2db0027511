import { availableParallelism, totalmem } from 'node:os';

/** How many sandboxes this host may have: what its memory carries and its processors can start and serve. */
export function hostCapacity(host: HostSize = hostSize()): number {
  const byMemory = Math.floor(host.memoryBytes / memoryPerSandboxBytes);
  return Math.max(1, Math.min(byMemory, host.cpuCount * sandboxesPerCpu));
}

export interface HostSize {
  readonly memoryBytes: number;
  readonly cpuCount: number;
}

/** As the limits of this process's own container or unit have it, where there are any. */
function hostSize(): HostSize {
  const limitBytes = process.constrainedMemory();
  const memoryBytes = limitBytes > 0 ? Math.min(limitBytes, totalmem()) : totalmem();
  return { memoryBytes, cpuCount: availableParallelism() };
}

/** A sandbox with a small workload; the pools' own maxTotal is the limit that operators set. */
const memoryPerSandboxBytes = 16 * 1024 * 1024;
/** Most of them wait for their owners most of the time. */
const sandboxesPerCpu = 512;
