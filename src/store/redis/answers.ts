import { assertThat, WarmpoolError } from '../../domain/errors.ts';
import type { Launch, SandboxRecord, SandboxState } from '../../domain/sandbox.ts';
import type {
  ClaimAnswer,
  ClaimRequest,
  Refusal,
  RegisterReadyAnswer,
  StartAnswer,
  TransitionAnswer,
} from '../pool-store.ts';
import { damagedRecord, type FlatHash, parseRecord } from './record-codec.ts';
import { scriptStatus } from './script-status.ts';

/** What every script about one sandbox returns: a status, the store's clock, and what the status is about. */
export type ScriptAnswer = readonly [status: number, nowMs: number, ...rest: unknown[]];

export function transitionAnswer(id: string, answer: ScriptAnswer): TransitionAnswer {
  const [status, nowMs, about] = answer;
  if (status === scriptStatus.DONE)
    return { kind: 'done', record: parseRecord(id, about as FlatHash, nowMs) };
  const why = refusals.get(status);
  if (why !== undefined) {
    const state = about as SandboxState | undefined;
    return { kind: 'refused', why, ...(state === undefined ? {} : { state }) };
  }
  throw unexpected(id, status, about);
}

const refusals: ReadonlyMap<number, Refusal['why']> = new Map([
  [scriptStatus.NOT_FOUND, 'not_found'],
  [scriptStatus.WRONG_STATE, 'wrong_state'],
  [scriptStatus.STALE_INCARNATION, 'stale_incarnation'],
  [scriptStatus.OTHER_NODE, 'other_node'],
]);

/** Where the step makes a record, its pool may not want it. */
export function registerReadyAnswer(id: string, answer: ScriptAnswer): RegisterReadyAnswer {
  const why = startRefusals.get(answer[0]);
  return why === undefined ? transitionAnswer(id, answer) : { kind: 'refused', why };
}

export function startAnswer(id: string, answer: ScriptAnswer): StartAnswer {
  const [status, nowMs, about] = answer;
  if (status === scriptStatus.DONE)
    return { kind: 'reserved', record: parseRecord(id, about as FlatHash, nowMs) };
  const why = startRefusals.get(status);
  if (why !== undefined) return { kind: 'refused', why };
  throw unexpected(id, status, about);
}

const startRefusals: ReadonlyMap<number, Extract<StartAnswer, { kind: 'refused' }>['why']> = new Map([
  [scriptStatus.NO_POOL, 'no_pool'],
  [scriptStatus.SPEC_CHANGED, 'spec_changed'],
  [scriptStatus.TARGET_MET, 'target_met'],
  [scriptStatus.STARTS_IN_FLIGHT, 'starts_in_flight'],
  [scriptStatus.MAX_TOTAL, 'max_total'],
]);

export function claimAnswer(request: ClaimRequest, answer: ScriptAnswer): ClaimAnswer {
  const [status, nowMs] = answer;
  switch (status) {
    case scriptStatus.CLAIMED:
      return { kind: 'claimed', record: claimedRecord(request, answer as ClaimedAnswer), repeated: false };
    case scriptStatus.STARTING: {
      const [, , id, fields] = answer as RecordAnswer;
      return { kind: 'starting', record: parseRecord(id, fields, nowMs), repeated: false };
    }
    case scriptStatus.REPEATED:
      return repeatedAnswer(request, answer as RepeatedAnswer);
    case scriptStatus.NO_READY:
      return { kind: 'empty', why: 'no_ready' };
    case scriptStatus.MAX_TOTAL:
      return { kind: 'empty', why: 'max_total' };
    case scriptStatus.QUEUE_FULL:
      return { kind: 'empty', why: 'queue_full' };
    case scriptStatus.TENANT_QUEUE_FULL:
      return { kind: 'empty', why: 'tenant_queue_full' };
    case scriptStatus.WAITING:
      return { kind: 'waiting', readyNeeded: Number(answer[2]) };
    case scriptStatus.OVER_LIMIT:
      // Which limit it is, whoever charged it knows.
      return { kind: 'over_limit', limit: 'running', max: 0, current: 0, retryAfterMs: null };
    case scriptStatus.NO_POOL:
      return { kind: 'no_pool' };
    case scriptStatus.REQUEST_ID_REUSED:
      return { kind: 'request_id_reused' };
    default:
      throw unexpected(request.cold?.id ?? '', status, answer[2]);
  }
}

type RecordAnswer = readonly [status: number, nowMs: number, id: string, fields: FlatHash];

/** Numbers that were read from the record or written to it come as text. */
type ClaimedAnswer = readonly [
  status: number,
  nowMs: number,
  id: string,
  specVersion: string,
  nodeId: string,
  incarnation: string,
  createdAtMs: string,
  readyAtMs: string,
  expiresAtMs: string,
  endOfLifeMs: string,
];

/** The hot path: only what the caller does not know travels, the rest of the record is the request itself. */
function claimedRecord(request: ClaimRequest, answer: ClaimedAnswer): SandboxRecord {
  const [, nowMs, id, specVersion, nodeId, incarnation, createdAt, readyAt, expiresAt, endOfLife] = answer;
  const expiresAtMs = Number(expiresAt);
  return {
    id,
    pool: request.pool,
    specVersion,
    state: 'running',
    launch: 'warm',
    nodeId,
    incarnation: Number(incarnation),
    createdAtMs: Number(createdAt),
    readyAtMs: Number(readyAt),
    claim: {
      tenant: request.tenant,
      claimId: request.claimId,
      claimedAtMs: nowMs,
      customisation: request.customisation,
    },
    lease: {
      expiresAtMs,
      remainingMs: Math.max(0, expiresAtMs - nowMs),
      ttlMs: request.leaseTtlMs,
      endOfLifeMs: Number(endOfLife),
      onExpiry: request.onExpiry,
    },
  };
}

type RepeatedAnswer = readonly [
  status: number,
  nowMs: number,
  id: string,
  fields: FlatHash,
  specVersion: string,
  nodeId: string,
  incarnation: string,
  launch: Launch,
  createdAtMs: string,
  readyAtMs: string | null,
  claimedAtMs: string,
  claimId: string,
  pool: string,
];

/** A record that is gone has ended and been forgotten: what was remembered of the claim is told as such. */
function repeatedAnswer(request: ClaimRequest, answer: RepeatedAnswer): ClaimAnswer {
  const [, nowMs, id, fields, ...remembered] = answer;
  if (fields.length > 0) {
    const record = parseRecord(id, fields, nowMs);
    return { kind: record.state === 'starting' ? 'starting' : 'claimed', record, repeated: true };
  }
  const [specVersion, nodeId, incarnation, launch, createdAt, readyAt, claimedAt, claimId, pool] = remembered;
  const record: SandboxRecord = {
    id,
    pool,
    specVersion,
    state: 'stopped',
    launch,
    nodeId,
    incarnation: Number(incarnation),
    createdAtMs: Number(createdAt),
    ...(readyAt === null ? {} : { readyAtMs: Number(readyAt) }),
    claim: {
      tenant: request.tenant,
      claimId,
      claimedAtMs: Number(claimedAt),
      customisation: request.customisation,
    },
  };
  return { kind: 'claimed', record, repeated: true };
}

function unexpected(id: string, status: number, about: unknown): Error {
  if (status === scriptStatus.GARBLED) return damagedRecord(id, String(about));
  if (status === scriptStatus.ID_TAKEN) {
    return new WarmpoolError('INTERNAL', 'this sandbox id already belongs to another start', {
      facts: { id },
    });
  }
  assertThat(false, `a script answered with a status that its caller knows (${status})`);
}
