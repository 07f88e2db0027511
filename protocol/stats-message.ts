import { encodeFixedMap, parseMap, present } from './map-message.ts';
import type { ParseResult } from './parse-result.ts';

/** The answer to Stats: protocol/README.md section 8. */
export interface SandboxStats {
  /** Processor time of all processes since the start. */
  readonly cpuUs: number;
  readonly memoryBytes: number;
  readonly memoryLimitBytes?: number;
  readonly diskUsedBytes: number;
  readonly diskLimitBytes?: number;
  readonly pids: number;
  readonly pidsLimit?: number;
  readonly uptimeMs: number;
}

export function encodeStats(stats: SandboxStats): Uint8Array {
  return encodeFixedMap({
    cpu_us: stats.cpuUs,
    memory_bytes: stats.memoryBytes,
    memory_limit_bytes: stats.memoryLimitBytes,
    disk_used_bytes: stats.diskUsedBytes,
    disk_limit_bytes: stats.diskLimitBytes,
    pids: stats.pids,
    pids_limit: stats.pidsLimit,
    uptime_ms: stats.uptimeMs,
  });
}

export function parseStats(payload: Uint8Array): ParseResult<SandboxStats> {
  return parseMap(payload, (fields) => ({
    cpuUs: fields.u64('cpu_us'),
    memoryBytes: fields.u64('memory_bytes'),
    diskUsedBytes: fields.u64('disk_used_bytes'),
    pids: fields.u32('pids'),
    uptimeMs: fields.u64('uptime_ms'),
    ...present({
      memoryLimitBytes: fields.optional('memory_limit_bytes', fields.u64),
      diskLimitBytes: fields.optional('disk_limit_bytes', fields.u64),
      pidsLimit: fields.optional('pids_limit', fields.u32),
    }),
  }));
}
