import { assertThat, WarmpoolError } from '../../domain/errors.ts';
import { shardOfPool, shardOfSandbox } from '../../domain/ids.ts';
import type { EndReason, SandboxRecord, SandboxState } from '../../domain/sandbox.ts';
import type { ClaimAnswer, Refusal, StoreEvent } from '../pool-store.ts';
import { type MemorySandbox, recordOf } from './memory-sandbox.ts';

export function answerOf(sandbox: MemorySandbox, nowMs: number): ClaimAnswer {
  const kind = sandbox.state === 'starting' ? 'starting' : 'claimed';
  return { kind, record: recordOf(sandbox, nowMs), repeated: true };
}

export function done(sandbox: MemorySandbox, nowMs: number): { kind: 'done'; record: SandboxRecord } {
  return { kind: 'done', record: recordOf(sandbox, nowMs) };
}

export function wrongState(sandbox: MemorySandbox): Refusal {
  return { kind: 'refused', why: 'wrong_state', state: sandbox.state };
}

export function staleIncarnation(sandbox: MemorySandbox): Refusal {
  return { kind: 'refused', why: 'stale_incarnation', state: sandbox.state };
}

export function idTaken(id: string): WarmpoolError {
  return new WarmpoolError('INTERNAL', 'this sandbox id already belongs to another start', { facts: { id } });
}

/** What followers are told of a change: the sandbox as it is now, and what it was. */
export function eventOf(
  sandbox: MemorySandbox,
  from: SandboxState | null,
  reason: EndReason | null,
  nowMs: number,
): Omit<StoreEvent, 'cursor'> {
  const { id, incarnation, pool, nodeId, claim, state } = sandbox;
  return {
    id,
    incarnation,
    pool,
    nodeId,
    tenant: claim?.tenant ?? null,
    from,
    to: state,
    reason,
    atMs: nowMs,
  };
}

export function assertInShard(sandboxId: string, pool: string): void {
  assertThat(shardOfSandbox(sandboxId) === shardOfPool(pool), 'a sandbox lives in the shard of its pool');
}
