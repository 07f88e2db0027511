import type { ChannelOpener } from '../../protocol/channel-opener.ts';
import type { OperationOptions } from './operation-options.ts';

export interface SandboxStats {
  readonly cpuUs: number;
  readonly memoryBytes: number;
  readonly memoryLimitBytes?: number;
  readonly diskUsedBytes: number;
  readonly diskLimitBytes?: number;
  readonly pids: number;
  readonly pidsLimit?: number;
  readonly uptimeMs: number;
}

export function readStats(opener: ChannelOpener, options?: OperationOptions): Promise<SandboxStats> {
  throw new Error(`not implemented: ${opener} ${options}`);
}
