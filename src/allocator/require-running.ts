import { WarmpoolError } from '../domain/errors.ts';
import type { SandboxRecord, SandboxState } from '../domain/sandbox.ts';
import type { Refusal } from '../store/pool-store.ts';

/** The record when its sandbox can be used; otherwise the error that says why not. */
export function requireRunning(record: SandboxRecord | null, id: string): SandboxRecord {
  const known = requireKnown(record, id);
  if (known.state === 'running') return known;
  if (known.state === 'failed') throw sandboxFailed(known);
  throw wrongState(id, known.state);
}

/** The record of a sandbox that exists for this caller; a stopped one does not any more. */
export function requireKnown(record: SandboxRecord | null, id: string): SandboxRecord {
  if (record && record.state !== 'stopped') return record;
  throw record === null ? sandboxNotFound(id) : hasStopped(record);
}

export function sandboxNotFound(id: string): WarmpoolError {
  return new WarmpoolError('SANDBOX_NOT_FOUND', `no sandbox has the id "${id.slice(0, 64)}"`, {
    facts: { sandbox: id.slice(0, 64) },
  });
}

/** Its owner learns why it is not there any more. */
function hasStopped({ id, endReason, expiredAtMs }: SandboxRecord): WarmpoolError {
  const expiry = expiredAtMs === undefined ? {} : { expired_at_ms: String(expiredAtMs) };
  return new WarmpoolError('SANDBOX_NOT_FOUND', `sandbox ${id} has ended`, {
    facts: { sandbox: id, reason: endReason ?? '', ...expiry },
  });
}

export function wrongState(id: string, state: SandboxState): WarmpoolError {
  return new WarmpoolError('SANDBOX_WRONG_STATE', `sandbox ${id} is ${state}; this needs it to be running`, {
    facts: { sandbox: id, state },
  });
}

export function sandboxFailed(record: SandboxRecord): WarmpoolError {
  return new WarmpoolError(
    'SANDBOX_FAILED',
    `sandbox ${record.id} has failed: ${record.failure ?? 'no reason known'}`,
    {
      facts: { sandbox: record.id, state: record.state, reason: record.endReason ?? '' },
    },
  );
}

/** Why the store did not do what the owner of a sandbox asked for. */
export function refusalError(answer: Refusal, id: string): WarmpoolError {
  if (answer.why === 'not_found' || answer.state === undefined || answer.state === 'stopped')
    return sandboxNotFound(id);
  return wrongState(id, answer.state);
}

/** It runs, but not where this process has a link to it. */
export function unreachable(record: SandboxRecord): WarmpoolError {
  return new WarmpoolError(
    'NODE_UNREACHABLE',
    `sandbox ${record.id} on node "${record.nodeId}" cannot be reached from this process now`,
    {
      retryAfterMs: 1_000,
      facts: { sandbox: record.id, node: record.nodeId },
    },
  );
}
