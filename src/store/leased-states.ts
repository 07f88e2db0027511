import type { SandboxState } from '../domain/sandbox.ts';

const leased: ReadonlySet<SandboxState> = new Set<SandboxState>([
  'running',
  'pausing',
  'paused',
  'resuming',
  'hibernating',
  'hibernated',
  'waking',
]);

/** Only a state that somebody holds has a lease; those that boot, wait, end or have ended show none. */
export function hasLease(state: SandboxState): boolean {
  return leased.has(state);
}
