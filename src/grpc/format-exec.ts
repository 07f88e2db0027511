import type { ExecResult } from '../allocator/api.ts';
import type { ProcessExit } from '../guest-link/guest.ts';
import type { ExecExit } from './gen/warmpool/v1/ExecExit.ts';
import type { ExecResponse } from './gen/warmpool/v1/ExecResponse.ts';
import { formatMicroseconds } from './wire/time.ts';

export function formatExecResult(result: ExecResult): ExecResponse {
  return {
    ...formatExit(result),
    stdout: result.stdout,
    stderr: result.stderr,
    stdoutTruncated: result.stdoutTruncated,
    stderrTruncated: result.stderrTruncated,
  };
}

export function formatExit(exit: ProcessExit): ExecExit {
  return {
    ...(exit.exitCode !== null && { exitCode: exit.exitCode }),
    signal: exit.signal ?? 0,
    timedOut: exit.timedOut,
    duration: formatMicroseconds(exit.durationUs),
  };
}
