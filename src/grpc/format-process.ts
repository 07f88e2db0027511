import type { ListedProcess } from '../operations/list-processes.ts';
import type { ProcessInfo } from './gen/warmpool/v1/ProcessInfo.ts';

export function formatProcess(listed: ListedProcess): ProcessInfo {
  const { process, pid, argv0, tty, detach, attached, running, start, end, exitCode, signal } = listed;
  return {
    process,
    pid,
    argv0,
    tty,
    detach,
    attached,
    running,
    outputStart: start,
    outputEnd: end,
    ...(exitCode !== undefined && { exitCode }),
    ...(signal !== undefined && { signal }),
  };
}
