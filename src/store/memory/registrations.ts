import { isEnded } from '../../domain/transitions.ts';
import { hasLease } from '../leased-states.ts';
import type { BoundSandbox } from '../pool-store.ts';
import type { MemoryClaim, MemorySandbox } from './memory-sandbox.ts';

/** When a node tells a store what it runs: the record that its word makes, and what it may be written over. */
export function boundSandbox(bound: BoundSandbox, knownIncarnation: number): MemorySandbox {
  const { id, pool, specVersion, launch, nodeId, createdAtMs, readyAtMs } = bound;
  return {
    ...{ id, pool, specVersion, launch, nodeId, createdAtMs },
    ...(readyAtMs === undefined ? {} : { readyAtMs }),
    bootDeadlineMs: createdAtMs,
    state: 'running',
    incarnation: Math.max(bound.incarnation, knownIncarnation),
  };
}

export function boundClaim(
  bound: BoundSandbox,
  known: MemorySandbox | undefined,
  nowMs: number,
): Omit<MemoryClaim, 'order'> {
  const { claim: knownClaim } = known ?? {};
  return {
    ...bound.claim,
    // Lost with the record, unless it is still this claim's; no request has an empty one.
    requestKey: knownClaim?.claimId === bound.claim.claimId ? knownClaim.requestKey : '',
    ttlMs: bound.leaseTtlMs,
    maxLifetimeMs: bound.lifeLeftMs,
    onExpiry: bound.onExpiry,
    ...deadlines(bound, nowMs),
  };
}

/** It is this claim's, and runs: then its lease is made no shorter, and that is all. */
export function leaseGoesOn(known: MemorySandbox, bound: BoundSandbox, nowMs: number): boolean {
  const { claim } = known;
  if (claim === undefined || claim.claimId !== bound.claim.claimId || !hasLease(known.state)) return false;
  const { expiresAtMs, endOfLifeMs } = deadlines(bound, nowMs);
  claim.expiresAtMs = Math.max(claim.expiresAtMs, expiresAtMs);
  claim.endOfLifeMs = Math.max(claim.endOfLifeMs, endOfLifeMs);
  return true;
}

/** Whatever is said of another claim, or of none; not the end of its own, nor what was let go. */
export function mayBeWrittenOver(known: MemorySandbox, bound: BoundSandbox): boolean {
  const isItsOwn = known.claim?.claimId === bound.claim.claimId;
  const hasEnded = known.state === 'stopping' || isEnded(known.state);
  return known.forgetAtMs === undefined && !(isItsOwn && hasEnded);
}

function deadlines(bound: BoundSandbox, nowMs: number): { expiresAtMs: number; endOfLifeMs: number } {
  const endOfLifeMs = nowMs + bound.lifeLeftMs;
  return { expiresAtMs: Math.min(nowMs + bound.leaseLeftMs, endOfLifeMs), endOfLifeMs };
}
