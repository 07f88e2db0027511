import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';

/**
 * Runs one of the guest's test programs to its end, which is to be a good one. It blocks this process: the runner takes it
 * for a hang after two minutes.
 */
export function runProgram(path: string, args: readonly string[], timeoutMs = 110_000): void {
  const { status, signal, stdout, stderr } = spawnSync(path, args, { encoding: 'utf8', timeout: timeoutMs });
  assert.equal(status, 0, `${path} ended with ${status ?? signal}:\n${stdout}\n${stderr}`);
}
