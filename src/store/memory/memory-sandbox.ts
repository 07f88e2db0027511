import type { OnExpiry } from '../../domain/pool-spec.ts';
import {
  type Customisation,
  type EndReason,
  isExpiry,
  type Launch,
  type SandboxRecord,
  type SandboxState,
} from '../../domain/sandbox.ts';
import { hasLease } from '../leased-states.ts';
import type { ClaimRequest, DueSandbox } from '../pool-store.ts';

/** What the memory store keeps of one sandbox. Deadlines are milliseconds of the store's clock. */
export interface MemorySandbox {
  readonly id: string;
  readonly pool: string;
  readonly specVersion: string;
  launch: Launch;
  readonly nodeId: string;
  readonly createdAtMs: number;
  readonly bootDeadlineMs: number;
  state: SandboxState;
  incarnation: number;
  readyAtMs?: number;
  claim?: MemoryClaim;
  endReason?: EndReason;
  failure?: string;
  /** Ended and let go: reads as unknown from then on. */
  forgetAtMs?: number;
}

export interface MemoryClaim {
  readonly tenant: string;
  readonly claimId: string;
  readonly claimedAtMs: number;
  readonly customisation: Customisation;
  readonly requestKey: string;
  /** Place among the claims of this store: larger is newer. */
  readonly order: number;
  readonly ttlMs: number;
  readonly maxLifetimeMs: number;
  readonly onExpiry: OnExpiry;
  /** Both set when it becomes running. */
  expiresAtMs: number;
  endOfLifeMs: number;
}

/** What a request makes of the sandbox that it is given. */
export function claimOf(
  request: ClaimRequest,
  requestKey: string,
  nowMs: number,
): Omit<MemoryClaim, 'order'> {
  const { tenant, claimId, customisation, leaseTtlMs, maxLifetimeMs, onExpiry } = request;
  const endOfLifeMs = nowMs + maxLifetimeMs;
  return {
    ...{ tenant, claimId, customisation, requestKey, maxLifetimeMs, onExpiry, endOfLifeMs },
    claimedAtMs: nowMs,
    ttlMs: leaseTtlMs,
    expiresAtMs: Math.min(nowMs + leaseTtlMs, endOfLifeMs),
  };
}

export function recordOf(sandbox: MemorySandbox, nowMs: number): SandboxRecord {
  const { claim } = sandbox;
  return {
    id: sandbox.id,
    pool: sandbox.pool,
    specVersion: sandbox.specVersion,
    state: sandbox.state,
    launch: sandbox.launch,
    nodeId: sandbox.nodeId,
    incarnation: sandbox.incarnation,
    createdAtMs: sandbox.createdAtMs,
    ...(sandbox.readyAtMs === undefined ? {} : { readyAtMs: sandbox.readyAtMs }),
    ...(claim === undefined
      ? {}
      : {
          claim: {
            tenant: claim.tenant,
            claimId: claim.claimId,
            claimedAtMs: claim.claimedAtMs,
            customisation: claim.customisation,
          },
        }),
    ...(claim === undefined || !hasLease(sandbox.state)
      ? {}
      : {
          lease: {
            expiresAtMs: claim.expiresAtMs,
            remainingMs: Math.max(0, claim.expiresAtMs - nowMs),
            ttlMs: claim.ttlMs,
            endOfLifeMs: claim.endOfLifeMs,
            onExpiry: claim.onExpiry,
          },
        }),
    ...(sandbox.endReason === undefined ? {} : { endReason: sandbox.endReason }),
    ...(claim !== undefined && isExpiry(sandbox.endReason) ? { expiredAtMs: claim.expiresAtMs } : {}),
    ...(sandbox.failure === undefined ? {} : { failure: sandbox.failure }),
  };
}

/** When the reaper may act on it: the boot's deadline or the lease's end; null when it has neither. */
export function deadlineOf(sandbox: MemorySandbox): number | null {
  if (sandbox.state === 'starting') return sandbox.bootDeadlineMs;
  return hasLease(sandbox.state) ? (sandbox.claim?.expiresAtMs ?? null) : null;
}

/** A repeated `expire` finds what the first one did. */
export function wasExpired(sandbox: MemorySandbox): boolean {
  if (sandbox.state === 'failed') return sandbox.endReason === 'boot_timeout';
  return sandbox.state === 'stopping' && isExpiry(sandbox.endReason);
}

/** The boot in flight that is nearest to its end, unless it is overdue. */
export function nearestBoot(
  boots: readonly (MemorySandbox | undefined)[],
  specVersion: string,
  nowMs: number,
): MemorySandbox | null {
  const [nearest] = boots
    .filter((boot) => boot !== undefined)
    .filter((boot) => boot.specVersion === specVersion && boot.bootDeadlineMs > nowMs)
    .sort((a, b) => a.bootDeadlineMs - b.bootDeadlineMs);
  return nearest ?? null;
}

/** Those whose deadline has passed, oldest first. */
export function dueAmong(
  sandboxes: readonly (MemorySandbox | undefined)[],
  nowMs: number,
  limit: number,
): readonly DueSandbox[] {
  return sandboxes
    .filter((sandbox) => sandbox !== undefined)
    .map((sandbox) => ({ sandbox, deadlineMs: deadlineOf(sandbox) ?? Number.POSITIVE_INFINITY }))
    .filter(({ deadlineMs }) => deadlineMs <= nowMs)
    .sort((a, b) => a.deadlineMs - b.deadlineMs)
    .slice(0, limit)
    .map(({ sandbox: { id, incarnation } }) => ({ id, incarnation }));
}

/** A claim that comes again because it waits was counted before. */
export function isFirstAsking({ warm, waiting }: ClaimRequest): boolean {
  return !(warm && waiting);
}
