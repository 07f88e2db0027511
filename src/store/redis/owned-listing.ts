import { shardOfSandbox } from '../../domain/ids.ts';
import type { SandboxRecord } from '../../domain/sandbox.ts';
import { matchesQuery } from '../list-filter.ts';
import { formatPageToken, type PagePosition, parsePageToken } from '../page-token.ts';
import type { ListPage, ListQuery } from '../pool-store.ts';
import { shards } from './keys.ts';
import { type FlatHash, parseRecord } from './record-codec.ts';
import type { RedisConnection } from './redis-connection.ts';
import { scripts } from './scripts.ts';

/** Records read in one step: a step of full-size records stays under 2 MB. */
const stretchMax = 32;

/**
 * Walks the tenant's sandboxes shard by shard, each from new to old, until the page is full. Shards in which the
 * tenant has nothing cost one count each, asked in one round trip.
 */
export async function listOwned(
  connection: RedisConnection,
  query: ListQuery,
  warnOfDamage: (id: string) => void,
): Promise<ListPage> {
  const after = parsePageToken(query.pageToken);
  const counts = await Promise.all(
    shards.map(({ prefix }) => {
      const owned = `${prefix}owned:${query.tenant}`;
      return connection.plain(owned, (client) => client.zcard(owned));
    }),
  );
  const records: SandboxRecord[] = [];
  let last: PagePosition | null = null;
  for (let shard = after?.shard ?? 0; shard < shards.length; shard += 1) {
    if (counts[shard] === 0) continue;
    const start = after?.shard === shard ? after : null;
    for await (const { position, record } of ownedInShard(
      connection,
      query.tenant,
      shard,
      start,
      warnOfDamage,
    )) {
      if (!matchesQuery(record, query)) continue;
      if (records.length === query.pageSize && last !== null)
        return { records, nextPageToken: formatPageToken(last) };
      records.push(record);
      last = position;
    }
  }
  return { records };
}

async function* ownedInShard(
  connection: RedisConnection,
  tenant: string,
  shard: number,
  start: PagePosition | null,
  warnOfDamage: (id: string) => void,
): AsyncGenerator<{ readonly position: PagePosition; readonly record: SandboxRecord }> {
  const keys = shards[shard];
  if (keys === undefined) return;
  let after = start;
  for (;;) {
    const answer = await connection.run(
      scripts.listOwned,
      `${keys.prefix}owned:${tenant}`,
      keys.sandboxPrefix,
      after?.order ?? '+inf',
      after?.id ?? '',
      stretchMax,
    );
    const [nowMs, ...members] = answer as [
      number,
      ...(readonly [order: string, id: string, fields: FlatHash])[],
    ];
    for (const [orderText, id, fields] of members) {
      after = { shard, order: Number(orderText), id };
      if (fields.length === 0 || shardOfSandbox(id) !== shard) continue;
      const record = readable(id, fields, nowMs);
      if (record === null) warnOfDamage(id);
      else if (record.claim?.tenant === tenant) yield { position: after, record };
    }
    if (members.length < stretchMax) return;
  }
}

function readable(id: string, fields: FlatHash, nowMs: number): SandboxRecord | null {
  try {
    return parseRecord(id, fields, nowMs);
  } catch {
    return null;
  }
}
