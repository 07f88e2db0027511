import { assertThat, isWarmpoolError } from '../../domain/errors.ts';
import type { ClaimAnswer, ClaimRequest, WaitingClaim } from '../pool-store.ts';
import { requestKey } from '../request-key.ts';
import { claimAnswer, type ScriptAnswer } from './answers.ts';
import { keysOfSandbox, type PoolKeys } from './keys.ts';
import { formatCustomisation } from './record-codec.ts';
import type { RedisConnection } from './redis-connection.ts';
import { scriptStatus } from './script-status.ts';
import { scripts } from './scripts.ts';
import type { OverLimit, TenantLedger } from './tenant-ledger.ts';

/** One script; one more before it when the tenant has limits, and after it only when nothing came of the claim (D2). */
export async function claimSandbox(
  connection: RedisConnection,
  ledger: TenantLedger,
  keys: PoolKeys,
  request: ClaimRequest,
): Promise<ClaimAnswer> {
  assertThat(request.tenant !== '', 'a claim has a tenant');
  const { cold, limits } = request;
  assertThat(
    cold === null || keys.shard === keysOfSandbox(cold.id),
    'a sandbox lives in the shard of its pool',
  );
  if (limits === undefined) return runClaim(connection, keys, request, warmWord(request));
  const refusal = await ledger.charge(request, limits);
  // Its sandbox may be there already: the same request may have come before.
  if (refusal !== null) return overLimit(await runClaim(connection, keys, request, 3), refusal);
  const answer = await runClaim(connection, keys, request, warmWord(request)).catch(
    async (error: unknown) => {
      // Without an answer it may have been claimed all the same.
      const isUnknown = isWarmpoolError(error) && error.code === 'STORE_UNAVAILABLE';
      if (!isUnknown) await ledger.giveBack(request, limits);
      throw error;
    },
  );
  if (!isWorthItsHold(answer, request.claimId)) await ledger.giveBack(request, limits);
  return answer;
}

export async function stopWaiting(
  connection: RedisConnection,
  ledger: TenantLedger,
  keys: PoolKeys,
  claim: WaitingClaim,
): Promise<void> {
  const { prefix } = keys.shard;
  const [status] = (await connection.run(
    scripts.stopWaiting,
    prefix,
    keys.pool,
    `${prefix}request:${requestKey(claim.tenant, claim.requestId)}`,
    claim.claimId,
    claim.keptMs,
  )) as ScriptAnswer;
  if (status === scriptStatus.DONE && claim.limits) await ledger.giveBack(claim, claim.limits);
}

async function runClaim(
  connection: RedisConnection,
  { shard: { prefix }, pool }: PoolKeys,
  request: ClaimRequest,
  word: WarmWord,
): Promise<ClaimAnswer> {
  const answer = await connection.run(
    scripts.claimSandbox,
    prefix,
    pool,
    `${prefix}owned:${request.tenant}`,
    `${prefix}request:${requestKey(request.tenant, request.requestId)}`,
    request.bodyHash,
    request.claimId,
    request.leaseTtlMs,
    request.maxLifetimeMs,
    request.onExpiry,
    formatCustomisation(request.customisation),
    word,
    ...furtherArguments(request),
  );
  return claimAnswer(request, answer as ScriptAnswer);
}

/** By position, so only as many as are needed: most claims neither wait nor have limits. */
function furtherArguments({ cold, wait, limits }: ClaimRequest): readonly (string | number)[] {
  const isHeld = typeof limits?.maxRunning === 'number';
  const ofCold = cold === null ? null : [cold.id, cold.nodeId, cold.bootTimeoutMs];
  if (!wait && !isHeld) return ofCold ?? [];
  const ofWait = wait ? [wait.leaseMs, wait.poolMax, wait.tenantMax] : none;
  return [...(ofCold ?? none), ...ofWait, ...(isHeld ? [1] : [])];
}

const none = ['', '', ''] as const;

/** 2 also wants a warm one, and is not counted again. A cold request never waits for one. 3 only asks what is remembered. */
type WarmWord = 0 | 1 | 2 | 3;

function warmWord({ warm, waiting }: ClaimRequest): WarmWord {
  if (!warm) return 0;
  return waiting ? 2 : 1;
}

/** What the store does not know by now it may still find: only an answer that took nothing gives back. */
function isWorthItsHold(answer: ClaimAnswer, claimId: string): boolean {
  if (answer.kind === 'waiting') return true;
  if (answer.kind !== 'claimed' && answer.kind !== 'starting') return false;
  const { record } = answer;
  const hasEnded = record.state === 'stopping' || record.state === 'stopped' || record.state === 'failed';
  return record.claim?.claimId === claimId && !hasEnded;
}

function overLimit(remembered: ClaimAnswer, refusal: OverLimit): ClaimAnswer {
  return remembered.kind === 'over_limit' ? refusal : remembered;
}
