import { isWarmpoolError } from '../../domain/errors.ts';
import type { HealReport } from '../pool-store.ts';
import type { ScriptAnswer } from './answers.ts';
import { type KeyKind, kindOfKey, type ShardKeys, shards } from './keys.ts';
import type { RedisConnection } from './redis-connection.ts';
import { scriptStatus } from './script-status.ts';
import { scripts } from './scripts.ts';

/** Keys or members looked at in one step: long enough to be quick, short enough not to hold up a claim. */
const pageSize = 200;

/**
 * Compares every index with the records and the other way round, page by page, while everything goes on: each
 * decision is made by a script that looks at the record again (D5). It adds and drops index members and nothing else.
 */
export async function healIndexes(
  connection: RedisConnection,
  warn: (sentence: string) => void,
): Promise<HealReport> {
  let readded = 0;
  let dropped = 0;
  for await (const keys of shardKeysOfAll(connection)) {
    await Promise.all(
      keys.map(async (key) => {
        const shard = shards.find((candidate) => key.startsWith(candidate.prefix));
        const known = shard === undefined ? null : kindOfKey(shard, key);
        if (shard === undefined || known === null) return;
        try {
          if (known.kind === 'sandbox') {
            const added = await healSandbox(connection, shard, known.id, warn);
            readded += added;
          } else {
            const removed = await healIndex(connection, shard, key, known);
            dropped += removed;
          }
        } catch (error) {
          // One key of a wrong type must not keep the others from being healed.
          if (!isWarmpoolError(error) || error.code !== 'INTERNAL') throw error;
          warn(`the key ${key} of the store is damaged and was left alone`);
        }
      }),
    );
  }
  return { readded, dropped };
}

/** The keys of all shards, page by page: a cluster is scanned master by master. */
async function* shardKeysOfAll(connection: RedisConnection): AsyncGenerator<readonly string[]> {
  for (const master of connection.masters) {
    let cursor = '0';
    do {
      const [next, keys] = await connection.ofMaster(master, (client) =>
        client.scan(cursor, 'MATCH', 'wp:{s[01][0-9]}:*', 'COUNT', pageSize),
      );
      cursor = next;
      yield keys;
    } while (cursor !== '0');
  }
}

async function healSandbox(
  connection: RedisConnection,
  shard: ShardKeys,
  id: string,
  warn: (sentence: string) => void,
): Promise<number> {
  const [status, , about] = (await connection.run(scripts.healSandbox, shard.prefix, id)) as ScriptAnswer;
  if (status === scriptStatus.GARBLED)
    warn(`the record of sandbox ${id} is damaged (${about}) and was left alone`);
  return status === scriptStatus.DONE ? Number(about) : 0;
}

async function healIndex(
  connection: RedisConnection,
  shard: ShardKeys,
  key: string,
  index: Exclude<KeyKind, { kind: 'sandbox' }>,
): Promise<number> {
  let dropped = 0;
  let cursor = '0';
  do {
    const [next, members] = await connection.plain(key, (client) =>
      index.kind === 'node'
        ? client.sscan(key, cursor, 'COUNT', pageSize)
        : client.zscan(key, cursor, 'COUNT', pageSize),
    );
    cursor = next;
    // zscan gives member and score in turn.
    const ids = index.kind === 'node' ? members : members.filter((_, position) => position % 2 === 0);
    if (ids.length === 0) continue;
    const [, , count] = (await connection.run(
      scripts.healIndex,
      key,
      shard.sandboxPrefix,
      index.kind,
      index.owner,
      ...ids,
    )) as ScriptAnswer;
    dropped += Number(count);
  } while (cursor !== '0');
  return dropped;
}
