import type { Redis } from 'ioredis';
import { type Clock, pause } from '../../domain/clock.ts';
import { endReasons, sandboxStates } from '../../domain/sandbox.ts';
import type { EventCursor, StoreEvent } from '../pool-store.ts';
import { CursorWriter, parseCursor, type StreamPlaces, unreadableCursor } from './event-cursor.ts';
import { shards } from './keys.ts';
import { streamBlockMs } from './redis-connection.ts';
import { classifyRedisError } from './redis-errors.ts';

/** Per shard and read: with all shards busy one batch stays under some 200 KB. */
const entriesPerShardMax = 64;
/**
 * Between two reads that came back with less than they could carry. The first event after a silence arrives at once,
 * those behind it a little later and together: with a read for each event a follower would cost as much as the claims
 * it hears of. A follower only wakes people up (D6), and what it wakes takes longer than this.
 */
const batchPauseMs = 5;
/** Between attempts while the server is away: the follower is late by at most this after it is back. */
const retryPauseMs = 250;

export interface EventStreamDeps {
  readonly clock: Clock;
  /** A new connection for blocking reads. */
  readonly connect: () => Redis;
  /** The connection of the claims: what is asked there comes before any claim made later (see `placesNow`). */
  readonly claims: Redis;
}

/**
 * Follows the event streams of all shards on a connection of its own. Its only state is the place in each stream, so
 * an outage costs nothing but time: it reads on from there. Only a place that was trimmed away ends it, with an error.
 *
 * Invariants: events of one sandbox come in their order, none twice, none left out. The connection ends with the
 * iteration, whichever side ends it.
 *
 * Turned down: consumer groups. Their memory of what was delivered is worth nothing here, because nobody acts on an
 * event without looking at the record (D6).
 */
export function followEvents(
  deps: EventStreamDeps,
  storeId: string,
  cursor: EventCursor | null,
  signal: AbortSignal,
): AsyncIterable<readonly StoreEvent[]> {
  // Asked now, not at the first read: what the caller does next must not be missed.
  const start = cursor === null ? placesNow(deps.claims) : readCursor(storeId, cursor);
  // The iteration is where a failure is told; until somebody iterates it must not count as unhandled.
  start.catch(() => {});
  return readFrom(deps, storeId, start, signal);
}

async function* readFrom(
  deps: EventStreamDeps,
  storeId: string,
  start: Promise<StreamPlaces>,
  signal: AbortSignal,
): AsyncGenerator<readonly StoreEvent[]> {
  if (signal.aborted) return;
  const client = deps.connect();
  const abort = () => client.disconnect();
  signal.addEventListener('abort', abort, { once: true });
  try {
    const first = await retried(deps, signal, (attempt) => (attempt === 0 ? start : placesNow(client)));
    if (first === null) return;
    const writer = new CursorWriter(storeId, first);
    // Whether the places may have been trimmed away: at first, after an outage, and while catching up.
    let mayBeTrimmed = true;
    while (!signal.aborted) {
      const batch = await retried(deps, signal, async (attempt) => {
        if (mayBeTrimmed || attempt > 0) await assertKept(client, writer.ids);
        return readBatch(client, writer);
      });
      if (batch === null) return;
      mayBeTrimmed = batch.full;
      if (batch.events.length > 0) yield batch.events;
      if (!batch.full) await pause(deps.clock, batchPauseMs, signal);
    }
  } finally {
    signal.removeEventListener('abort', abort);
    client.disconnect();
  }
}

/** Repeats while the store is away; null once the follower has gone. */
async function retried<Value>(
  deps: EventStreamDeps,
  signal: AbortSignal,
  read: (attempt: number) => Promise<Value>,
): Promise<Value | null> {
  for (let attempt = 0; !signal.aborted; attempt += 1) {
    try {
      return await read(attempt);
    } catch (error) {
      if (signal.aborted) return null;
      const failure = classifyRedisError(error);
      if (failure.code !== 'STORE_UNAVAILABLE') throw failure;
      await pause(deps.clock, retryPauseMs, signal);
    }
  }
  return null;
}

interface Batch {
  readonly events: readonly StoreEvent[];
  readonly full: boolean;
}

async function readBatch(client: Redis, writer: CursorWriter): Promise<Batch> {
  const reply = await client.xread(
    'COUNT',
    entriesPerShardMax,
    'BLOCK',
    streamBlockMs,
    'STREAMS',
    ...shards.map((shard) => shard.events),
    ...writer.ids,
  );
  const entries: { readonly shard: number; readonly id: string; readonly fields: readonly string[] }[] = [];
  let full = false;
  for (const [key, shardEntries] of streamsOf(reply)) {
    const shard = shards.findIndex((candidate) => candidate.events === key);
    full ||= shardEntries.length === entriesPerShardMax;
    for (const [id, fields] of shardEntries) entries.push({ shard, id, fields });
  }
  // The sort is stable: the order inside a shard stays, shards are merged by the server's clock.
  entries.sort((a, b) => Number.parseInt(a.id, 10) - Number.parseInt(b.id, 10));
  const events: StoreEvent[] = [];
  for (const { shard, id, fields } of entries) {
    const event = parseEvent(fields, writer.advance(shard, id));
    if (event !== null) events.push(event);
  }
  return { events, full };
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

/** An entry that we did not write says nothing to us: null. */
function parseEvent(flat: readonly string[], cursor: EventCursor): StoreEvent | null {
  const fields = new Map<string, string>();
  for (let index = 0; index + 1 < flat.length; index += 2)
    fields.set(flat[index] ?? '', flat[index + 1] ?? '');
  const id = fields.get('id');
  const pool = fields.get('pool');
  const nodeId = fields.get('node');
  const to = sandboxStates.find((state) => state === fields.get('to'));
  if (id === undefined || pool === undefined || nodeId === undefined || to === undefined) return null;
  return {
    cursor,
    id,
    incarnation: Number(fields.get('incarnation')),
    pool,
    tenant: fields.get('tenant') || null,
    nodeId,
    from: sandboxStates.find((state) => state === fields.get('from')) ?? null,
    to,
    reason: endReasons.find((reason) => reason === fields.get('reason')) ?? null,
    atMs: Number(fields.get('at')),
  };
}

async function readCursor(storeId: string, cursor: EventCursor): Promise<StreamPlaces> {
  return parseCursor(storeId, cursor);
}

/** The end of each stream. All reads are sent at once, so that what this process does next comes after them. */
async function placesNow(client: Redis): Promise<StreamPlaces> {
  const ends = await Promise.all(shards.map((shard) => client.xrevrange(shard.events, '+', '-', 'COUNT', 1)));
  return { ids: ends.map((entries) => entries[0]?.[0] ?? '0-0') };
}

/** Throws when events after one of the places are no longer there. */
async function assertKept(client: Redis, ids: readonly string[]): Promise<void> {
  const infos = await Promise.all(shards.map((shard) => streamInfo(client, shard.events)));
  for (const [shard, info] of infos.entries()) {
    const id = ids[shard] ?? '0-0';
    const lost = info === null ? id !== '0-0' : info.trimmed && isBefore(id, info.firstId);
    if (lost) throw unreadableCursor('is too old: events after it are no longer kept');
  }
}

async function streamInfo(
  client: Redis,
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

function isBefore(id: string, other: string): boolean {
  const [time = 0, sequence = 0] = id.split('-').map(Number);
  const [otherTime = 0, otherSequence = 0] = other.split('-').map(Number);
  return time < otherTime || (time === otherTime && sequence < otherSequence);
}
