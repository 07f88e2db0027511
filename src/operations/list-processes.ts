import type { ChannelOpener } from '../../protocol/channel-opener.ts';
import type { OperationOptions } from './operation-options.ts';

export interface ProcessInfo {
  readonly process: number;
  readonly pid: number;
  readonly argv0: string;
  readonly tty: boolean;
  readonly detach: boolean;
  readonly attached: boolean;
  readonly running: boolean;
  /** The output that can be replayed: from `start` up to `end`. */
  readonly start: number;
  readonly end: number;
  /** Both null while it runs. */
  readonly exitCode: number | null;
  readonly signal: number | null;
}

export function listProcesses(
  opener: ChannelOpener,
  options?: OperationOptions,
): Promise<readonly ProcessInfo[]> {
  throw new Error(`not implemented: ${opener} ${options}`);
}
