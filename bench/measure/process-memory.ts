import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface ProcessMemory {
  readonly pid: number;
  readonly command: string;
  /** Pages that nobody else maps: what ends with the process. */
  readonly privateKb: number;
}

export function memoryOf(pid: number): ProcessMemory {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const kb = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(rollup)?.[1] ?? 0);
  return {
    pid,
    command: readFileSync(`/proc/${pid}/comm`, 'utf8').trim(),
    privateKb: kb('Private_Clean') + kb('Private_Dirty'),
  };
}

export function parentOf(pid: number): number {
  return Number(/^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

/** What the kernel holds against the control group of a process, caches and kernel memory included; null: not counted. */
export function groupMemoryKb(pid: number): number | null {
  for (const line of readFileSync(`/proc/${pid}/cgroup`, 'utf8').split('\n')) {
    const [, controllers = '', path = ''] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    const files =
      controllers === ''
        ? [
            join('/sys/fs/cgroup', path, 'memory.current'),
            join('/sys/fs/cgroup/unified', path, 'memory.current'),
          ]
        : controllers === 'memory'
          ? [join('/sys/fs/cgroup/memory', path, 'memory.usage_in_bytes')]
          : [];
    const file = files.find((each) => existsSync(each));
    if (file !== undefined) return Number(readFileSync(file, 'utf8')) / 1_024;
  }
  return null;
}

/** Of the whole machine. */
export interface HostMemory {
  readonly availableKb: number;
  /** What the kernel keeps for processes, namespaces, mounts and pipes. */
  readonly kernelKb: number;
}

export function hostMemory(): HostMemory {
  const meminfo = readFileSync('/proc/meminfo', 'utf8');
  const kb = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(meminfo)?.[1] ?? 0);
  const kernelKb = ['Slab', 'KernelStack', 'PageTables', 'Percpu'].reduce((sum, field) => sum + kb(field), 0);
  return { availableKb: kb('MemAvailable'), kernelKb };
}
