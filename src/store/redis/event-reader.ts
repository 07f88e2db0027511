import type { RedisCommander } from 'ioredis';
import { endReasons, sandboxStates } from '../../domain/sandbox.ts';
import type { StoreEvent } from '../pool-store.ts';
import { unreadableCursor } from './event-cursor.ts';
import { shardKeys, shards } from './keys.ts';
import type { RedisConnection } from './redis-connection.ts';

/** Per shard and read: with all shards busy one batch stays under some 200 KB. */
export const entriesPerShardMax = 64;

/** One entry of one shard's stream. What it says is null when it was not written by us. */
export interface StreamEntry {
  readonly shard: number;
  readonly id: string;
  readonly event: Omit<StoreEvent, 'cursor'> | null;
}

export interface EntryBatch {
  readonly entries: readonly StreamEntry[];
  /** There is more: a shard gave as much as it was asked for. */
  readonly full: boolean;
}

/**
 * What follows the places of these shards (`places`: one stream id for each shard of the store). Waits up to `blockMs` when
 * there is nothing; null: not at all. A cluster answers for one shard at a time.
 */
export async function readEntries(
  client: RedisCommander,
  ofShards: readonly number[],
  places: readonly string[],
  blockMs: number | null,
): Promise<EntryBatch> {
  const keys = ofShards.map((shard) => shardKeys(shard).events);
  const ids = ofShards.map((shard) => places[shard] ?? '0-0');
  const reply: unknown =
    blockMs === null
      ? await client.xread('COUNT', entriesPerShardMax, 'STREAMS', ...keys, ...ids)
      : await client.xread('COUNT', entriesPerShardMax, 'BLOCK', blockMs, 'STREAMS', ...keys, ...ids);
  const entries: StreamEntry[] = [];
  let full = false;
  for (const [key, shardEntries] of streamsOf(reply)) {
    const shard = ofShards[keys.indexOf(key)] ?? -1;
    full ||= shardEntries.length === entriesPerShardMax;
    for (const [id, fields] of shardEntries) entries.push({ shard, id, event: parseEvent(fields) });
  }
  return { entries: inOrder(entries), full };
}

/** The sort is stable: the order inside a shard stays, shards are merged by the servers' clocks. */
export function inOrder(entries: StreamEntry[]): readonly StreamEntry[] {
  return entries.sort((a, b) => Number.parseInt(a.id, 10) - Number.parseInt(b.id, 10));
}

/** The end of each stream. What is written once this has settled comes after it, whoever writes it. */
export async function placesNow(connection: Pick<RedisConnection, 'plain'>): Promise<readonly string[]> {
  return Promise.all(shards.map(({ events }) => connection.plain(events, (client) => endOf(client, events))));
}

export async function endOf(client: RedisCommander, stream: string): Promise<string> {
  const entries = await client.xrevrange(stream, '+', '-', 'COUNT', 1);
  return entries[0]?.[0] ?? '0-0';
}

/** Throws when entries after the place of one of these shards are no longer there. */
export async function assertKept(
  client: RedisCommander,
  ofShards: readonly number[],
  places: readonly string[],
): Promise<void> {
  const infos = await Promise.all(ofShards.map((shard) => streamInfo(client, shardKeys(shard).events)));
  for (const [index, info] of infos.entries()) {
    const place = places[ofShards[index] ?? -1] ?? '0-0';
    const lost = info === null ? place !== '0-0' : info.trimmed && isBefore(place, info.firstId);
    if (lost) throw unreadableCursor('is too old: events after it are no longer kept');
  }
}

/** Whether a stream id comes before another one. */
export function isBefore(id: string, other: string): boolean {
  const [time = 0, sequence = 0] = id.split('-').map(Number);
  const [otherTime = 0, otherSequence = 0] = other.split('-').map(Number);
  return time < otherTime || (time === otherTime && sequence < otherSequence);
}

async function streamInfo(
  client: RedisCommander,
  key: string,
): Promise<{ readonly trimmed: boolean; readonly firstId: string } | null> {
  if ((await client.exists(key)) === 0) return null;
  const flat: unknown = await client.xinfo('STREAM', key);
  const info = new Map<unknown, unknown>();
  if (Array.isArray(flat))
    for (let index = 0; index + 1 < flat.length; index += 2) info.set(flat[index], flat[index + 1]);
  const firstEntry = info.get('first-entry');
  const firstId = Array.isArray(firstEntry) ? String(firstEntry[0]) : String(info.get('last-generated-id'));
  return { trimmed: Number(info.get('entries-added')) > Number(info.get('length')), firstId };
}

type StreamReply = readonly (readonly [
  key: string,
  entries: readonly (readonly [string, readonly string[]])[],
])[];

/** RESP2 gives a list of pairs, RESP3 the same pairs one after the other. */
function streamsOf(reply: unknown): StreamReply {
  if (!Array.isArray(reply)) return [];
  if (Array.isArray(reply[0])) return reply;
  const pairs: unknown[] = [];
  for (let index = 0; index + 1 < reply.length; index += 2) pairs.push([reply[index], reply[index + 1]]);
  return pairs as unknown as StreamReply;
}

/** As append-event.lua writes it. */
function parseEvent([name, text = '']: readonly string[]): Omit<StoreEvent, 'cursor'> | null {
  const [id, incarnation, pool, tenant, nodeId, from, stateNow, why, at, ...more] = text.split('\0');
  const to = sandboxStates.find((state) => state === stateNow);
  if (name !== 'event' || to === undefined || at === undefined || more.length > 0) return null;
  if (id === undefined || pool === undefined || nodeId === undefined) return null;
  return {
    id,
    incarnation: Number(incarnation),
    pool,
    tenant: tenant || null,
    nodeId,
    from: sandboxStates.find((state) => state === from) ?? null,
    to,
    reason: endReasons.find((reason) => reason === why) ?? null,
    atMs: Number(at),
  };
}
