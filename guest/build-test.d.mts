/** Types of build-test.mjs: programs for tests of the guest and of every runtime. */

export type ProbeName = 'seccomp-probe' | 'pid1-probe' | 'swap-probe' | 'true' | 'spawn-floor';
export type UnitTestName =
  | 'frame-test'
  | 'msgpack-test'
  | 'users-test'
  | 'replay-test'
  | 'ports-test'
  | 'sha256-test'
  | 'file-request-test'
  | 'tar-entry-test'
  | 'task-output-test'
  | 'task-event-test'
  | 'task-input-test';

export const probeNames: readonly ProbeName[];
export const unitTestNames: readonly UnitTestName[];
/** Static programs that run inside any sandbox; the answer is the path. */
export function buildProbe(name: ProbeName): string;
export function buildUnitTest(name: UnitTestName, options: { readonly sanitized: boolean }): string;
export function buildFuzzer(options: { readonly libFuzzer: boolean }): string;
export function buildSanitizedGuest(): string;
export function hasClang(): boolean;
