import type { SandboxRecord } from '../../domain/sandbox.ts';
import type { DueSandbox } from '../pool-store.ts';
import { shards } from './keys.ts';
import { type FlatHash, parseRecord } from './record-codec.ts';
import type { RedisConnection } from './redis-connection.ts';
import { scripts } from './scripts.ts';

/** Listings over all shards: one script on each, and the answers put together. */

/**
 * Ids whose deadline has passed, oldest first. Of a cluster those of the shards that answer: candidates only, so that one
 * master that is away keeps no lease of the others from ending.
 */
export async function listDue(connection: RedisConnection, limit: number): Promise<readonly DueSandbox[]> {
  const asked = await Promise.allSettled(
    shards.map((shard) => connection.run(scripts.listDue, shard.leases, shard.sandboxPrefix, limit)),
  );
  const answers = asked.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
  const failed = asked.find((each) => each.status === 'rejected');
  if (failed !== undefined && answers.length === 0) throw failed.reason;
  return answers
    .flatMap((answer) => (answer as [number, ...(readonly [string, string, number])[]]).slice(1))
    .map((member) => member as readonly [id: string, deadlineMs: string, incarnation: number])
    .sort((a, b) => Number(a[1]) - Number(b[1]))
    .slice(0, limit)
    .map(([id, , incarnation]) => ({ id, incarnation }));
}

/** What is on a node. A damaged record is told about and left out; the others are answered. */
export async function listPlaced(
  connection: RedisConnection,
  nodeId: string,
  warnOfDamage: (sandboxId: string) => void,
): Promise<readonly SandboxRecord[]> {
  const answers = await Promise.all(
    shards.map((shard) =>
      connection.run(scripts.listNode, `${shard.prefix}node:${nodeId}`, shard.sandboxPrefix),
    ),
  );
  const records: SandboxRecord[] = [];
  for (const answer of answers) {
    const [nowMs, ...members] = answer as [number, ...(readonly [string, FlatHash])[]];
    for (const [id, fields] of members) {
      if (fields.length === 0) continue;
      try {
        records.push(parseRecord(id, fields, nowMs));
      } catch {
        warnOfDamage(id);
      }
    }
  }
  return records.sort((a, b) => (a.id < b.id ? -1 : 1));
}
