import type { AllocatorApi, SandboxSession, SessionGrant } from '../../allocator/api.ts';
import { type Clock, pause } from '../../domain/clock.ts';
import { isWarmpoolError } from '../../domain/errors.ts';

export interface XgenAdmissionDeps {
  readonly allocator: Pick<AllocatorApi, 'openSession'>;
  readonly clock: Clock;
}

/**
 * Opens a session, waiting for a sandbox that is booting or asleep: published clients give connecting and their first
 * answer 10 s in all. Throws what the allocator throws; gives up when the signal aborts.
 */
export async function openWhenReady(
  { allocator, clock }: XgenAdmissionDeps,
  grant: SessionGrant,
  sandboxId: string,
  signal: AbortSignal,
): Promise<SandboxSession> {
  const deadlineMs = clock.monotonicMs() + readyMsMax;
  for (;;) {
    try {
      return await allocator.openSession(grant, sandboxId);
    } catch (error) {
      const waits = isOnItsWay(error) && clock.monotonicMs() + lookMs < deadlineMs && !signal.aborted;
      if (!waits) throw error;
      await pause(clock, lookMs, signal);
    }
  }
}

function isOnItsWay(error: unknown): boolean {
  if (!isWarmpoolError(error) || error.code !== 'SANDBOX_WRONG_STATE') return false;
  return statesOnTheirWay.has(error.details.facts?.state ?? '');
}

const statesOnTheirWay: ReadonlySet<string> = new Set([
  'starting',
  'pausing',
  'paused',
  'resuming',
  'hibernating',
  'hibernated',
  'waking',
]);
const readyMsMax = 9_000;
const lookMs = 100;
