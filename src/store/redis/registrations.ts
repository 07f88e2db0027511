import { assertThat } from '../../domain/errors.ts';
import { isSandboxId, shardOfPool, shardOfSandbox } from '../../domain/ids.ts';
import { poolNamePattern } from '../../domain/limits.ts';
import type { BoundSandbox, RegisterReadyAnswer, TransitionAnswer, UnclaimedSandbox } from '../pool-store.ts';
import { registerReadyAnswer, type ScriptAnswer, transitionAnswer } from './answers.ts';
import { keysOfPool, keysOfSandbox } from './keys.ts';
import { formatCustomisation } from './record-codec.ts';
import type { RedisConnection } from './redis-connection.ts';
import { scripts } from './scripts.ts';

/** The two verbs by which a node tells a store what that has lost. Both carry a whole record. */
export async function registerBound(
  connection: RedisConnection,
  bound: BoundSandbox,
): Promise<TransitionAnswer> {
  const { id, claim } = bound;
  if (!isSandboxId(id)) return { kind: 'refused', why: 'not_found' };
  const answer = await connection.run(
    scripts.registerBound,
    keysOfSandbox(id).prefix,
    id,
    bound.pool,
    bound.specVersion,
    bound.launch,
    bound.nodeId,
    bound.incarnation,
    bound.createdAtMs,
    bound.readyAtMs ?? '',
    claim.tenant,
    claim.claimId,
    claim.claimedAtMs,
    formatCustomisation(claim.customisation),
    bound.leaseTtlMs,
    bound.onExpiry,
    bound.leaseLeftMs,
    bound.lifeLeftMs,
  );
  return transitionAnswer(id, answer as ScriptAnswer);
}

export async function registerReady(
  connection: RedisConnection,
  { id, pool, nodeId, specVersion, incarnation }: UnclaimedSandbox,
): Promise<RegisterReadyAnswer> {
  if (!isSandboxId(id)) return { kind: 'refused', why: 'not_found' };
  if (!poolNamePattern.test(pool)) return { kind: 'refused', why: 'no_pool' };
  assertThat(shardOfSandbox(id) === shardOfPool(pool), 'a sandbox lives in the shard of its pool');
  const keys = keysOfPool(pool);
  const answer = await connection.run(
    scripts.registerReady,
    keys.shard.prefix,
    keys.pool,
    id,
    pool,
    nodeId,
    specVersion,
    incarnation,
  );
  return registerReadyAnswer(id, answer as ScriptAnswer);
}
