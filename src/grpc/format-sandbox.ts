import type { SandboxRecord } from '../domain/sandbox.ts';
import type { StoreEvent } from '../store/pool-store.ts';
import type { Sandbox } from './gen/warmpool/v1/Sandbox.ts';
import type { SandboxEvent } from './gen/warmpool/v1/SandboxEvent.ts';
import { wireEndReason, wireLaunch, wireState } from './wire/enum-names.ts';
import { formatDuration, formatTimestamp } from './wire/time.ts';

export function formatSandbox(record: SandboxRecord): Sandbox {
  const { claim, lease } = record;
  // What is absent stays off the wire: this is what a claim on the hot path answers with.
  const sandbox: Sandbox = {
    id: record.id,
    template: record.pool,
    state: wireState[record.state],
    launch: wireLaunch[record.launch],
    nodeId: record.nodeId,
    createdAt: formatTimestamp(record.createdAtMs),
  };
  if (claim) sandbox.metadata = claim.customisation.metadata;
  if (lease) {
    sandbox.expiresAt = formatTimestamp(lease.expiresAtMs);
    sandbox.remaining = formatDuration(lease.remainingMs);
    sandbox.endOfLifeAt = formatTimestamp(lease.endOfLifeMs);
  }
  if (record.endReason) sandbox.endReason = wireEndReason[record.endReason];
  if (record.failure !== undefined) sandbox.failure = record.failure;
  return sandbox;
}

export function formatEvent(event: StoreEvent): SandboxEvent {
  return {
    eventId: event.cursor,
    id: event.id,
    template: event.pool,
    from: event.from === null ? 'SANDBOX_STATE_UNSPECIFIED' : wireState[event.from],
    to: wireState[event.to],
    reason: event.reason === null ? 'END_REASON_UNSPECIFIED' : wireEndReason[event.reason],
    at: formatTimestamp(event.atMs),
    nodeId: event.nodeId,
  };
}
