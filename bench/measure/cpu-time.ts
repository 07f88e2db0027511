import { readFileSync } from 'node:fs';

/** The kernel counts in hundredths of a second towards user space on every architecture that Node runs on. */
const ticksPerSecond = 100;

/** User and system time of a process with all its threads, in milliseconds; to the nearest 10. */
export function cpuTimeMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The second field is the name in parentheses and may hold anything; utime and stime are the 14th and 15th.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1_000) / ticksPerSecond;
}
