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

/** What a tenant's limits and reserved shares count: claimed, and not on its way out. */
export function countsAsRunning(state: SandboxState): boolean {
  return state === 'starting' || leased.has(state);
}

/** Only a state that somebody holds has a lease; those that boot, wait, end or have ended show none. */
export function hasLease(state: SandboxState): boolean {
  return leased.has(state);
}
