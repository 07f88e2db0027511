import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { until } from '../support/until.ts';

/** Processes of this host as tests of the agent see and end them. */

/** A zombie whose parent has not looked yet is not alive. */
export function isAlive(pid: number): boolean {
  return !['', 'Z'].includes(stateOf(pid));
}

/** R runs, S sleeps, T is stopped, Z is a zombie; empty when it is gone. */
export function stateOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat[stat.lastIndexOf(')') + 2] ?? '';
  } catch {
    return '';
  }
}

/** Waits until a process is this program: between fork and exec it still has what the shell set for its own signals. */
export async function runs(pid: number, program: string): Promise<void> {
  await until(() => commandOf(pid) === program, `process ${pid} being ${program}`);
}

/** The name of its program; empty when it is gone. */
export function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch {
    return '';
  }
}

/** Zero, for a number that did not come, would be every process of the group of this test. */
export function killProcess(pid: number): void {
  assert.ok(pid > 1, `${pid} is no process`);
  process.kill(pid, 'SIGKILL');
}
