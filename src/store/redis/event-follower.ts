import type { Clock } from '../../domain/clock.ts';
import type { EventCursor, StoreEvent } from '../pool-store.ts';
import { CursorWriter, parseCursor } from './event-cursor.ts';
import { assertKept, inOrder, isBefore, placesNow, readEntries, type StreamEntry } from './event-reader.ts';
import type { EventTail } from './event-tail.ts';
import { shardKeys, shards } from './keys.ts';
import type { RedisConnection } from './redis-connection.ts';
import { classifyRedisError } from './redis-errors.ts';

/** What is heard while the consumer is busy; more than this is read again from Redis when he comes back. */
const heardMax = 4_096;
const retryPauseMs = 250;
const allShards: readonly number[] = shards.map((_, shard) => shard);

export interface EventFollowerDeps {
  readonly clock: Clock;
  readonly tail: EventTail;
  /** Where the starting place is asked for: somebody waits, so that a store that is away is said at once. */
  readonly claims: Pick<RedisConnection, 'plain'>;
  /** Where the past is read. */
  readonly background: Pick<RedisConnection, 'plain'>;
  /** Known to be without a server: asking would wait for one. */
  isAway(shard: number): boolean;
}

/**
 * One consumer of the events. With each shard it is in one of two states: behind (reads the stream from its own place,
 * without waiting, until nothing is left; what the tail hears of the shard meanwhile is passed over) and at the end (takes
 * what the tail hears). It listens to the tail before it reads, so the two overlap; what it has read already is told by its
 * place in that shard and passed over. A shard whose server is away stays behind, and keeps no other one back.
 *
 * Invariants: events of one sandbox come in their order, none twice, none left out; a place that was trimmed away ends
 * it with an error. Its memory is bounded, however slow the consumer.
 */
export async function followEvents(
  deps: EventFollowerDeps,
  storeId: string,
  cursor: EventCursor | null,
  signal: AbortSignal,
): Promise<AsyncIterable<readonly StoreEvent[]>> {
  // Answered before anybody iterates: no order holds between two connections, so only what the caller does after the
  // places are known is certain to come behind them.
  const places = cursor === null ? await endOfStreams(deps, signal) : parseCursor(storeId, cursor);
  return readFrom(deps, storeId, places, signal);
}

/** Whatever, once the follower has gone: nothing is read then. */
async function endOfStreams(deps: EventFollowerDeps, signal: AbortSignal): Promise<readonly string[]> {
  if (signal.aborted) return [];
  try {
    return await placesNow(deps.claims);
  } catch (error) {
    if (signal.aborted) return [];
    throw error;
  }
}

async function* readFrom(
  deps: EventFollowerDeps,
  storeId: string,
  places: readonly string[],
  signal: AbortSignal,
): AsyncGenerator<readonly StoreEvent[]> {
  if (signal.aborted) return;
  const heard = new HeardEntries(signal);
  try {
    const writer = new CursorWriter(storeId, places);
    await deps.tail.listen(heard, signal);
    const behind = new Set<number>();
    while (!signal.aborted) {
      for (const shard of heard.takeMissed()) behind.add(shard);
      if (behind.size > 0) {
        const { entries, away } = await readBehind(deps, behind, writer.ids);
        if (signal.aborted) return;
        const events = newEvents(entries, writer);
        if (events.length > 0) yield events;
        // While that was read and consumed more may have been missed: what was heard since would then leave a gap.
        if (behind.size > away.length || heard.missedSomething) continue;
      }
      const events = newEvents(
        heard.take().filter(({ shard }) => !behind.has(shard)),
        writer,
      );
      if (events.length > 0) yield events;
      // Those that are away are tried again, and keep nobody from hearing of the others.
      const cancel = behind.size === 0 ? () => {} : deps.clock.after(retryPauseMs, () => heard.wake());
      await heard.something();
      cancel();
    }
  } finally {
    deps.tail.leave(heard);
  }
}

/** The events beyond the places so far, each with its cursor; the places move on. */
function newEvents(entries: readonly StreamEntry[], writer: CursorWriter): readonly StoreEvent[] {
  const events: StoreEvent[] = [];
  for (const { shard, id, event } of entries) {
    if (!isBefore(writer.ids[shard] ?? '0-0', id)) continue;
    const cursor = writer.advance(shard, id);
    if (event !== null) events.push({ ...event, cursor });
  }
  return events;
}

/** What the tail has heard for one follower. At first it has missed everything: the past is to be read. */
class HeardEntries {
  readonly #signal: AbortSignal;
  #entries: StreamEntry[] = [];
  #missed: readonly number[] = allShards;
  #wake: () => void = () => {};

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  heard(entries: readonly StreamEntry[]): void {
    if (this.#entries.length + entries.length > heardMax) {
      this.#entries = [];
      this.missed(allShards);
    } else {
      this.#entries.push(...entries);
      this.#wake();
    }
  }

  missed(ofShards: readonly number[]): void {
    this.#missed = [...this.#missed, ...ofShards];
    this.#wake();
  }

  wake(): void {
    this.#wake();
  }

  get missedSomething(): boolean {
    return this.#missed.length > 0;
  }

  /** What has to be read from the streams; says so once. */
  takeMissed(): readonly number[] {
    const missed = this.#missed;
    this.#missed = [];
    return missed;
  }

  take(): readonly StreamEntry[] {
    const entries = this.#entries;
    this.#entries = [];
    return entries;
  }

  /** Settles when there is something to take or to read, or the signal aborts. */
  async something(): Promise<void> {
    if (this.missedSomething || this.#entries.length > 0 || this.#signal.aborted) return;
    await new Promise<void>((resolve) => {
      const settle = () => {
        this.#signal.removeEventListener('abort', settle);
        this.#wake = () => {};
        resolve();
      };
      this.#wake = settle;
      this.#signal.addEventListener('abort', settle);
    });
  }
}

/**
 * One read of each shard that is behind; those of which nothing is left are behind no longer. Throws when a place is no longer
 * kept. `away`: their servers do not answer.
 */
async function readBehind(
  { background, isAway }: EventFollowerDeps,
  behind: Set<number>,
  places: readonly string[],
): Promise<{ readonly entries: readonly StreamEntry[]; readonly away: readonly number[] }> {
  const away: number[] = [];
  const entries: StreamEntry[] = [];
  await Promise.all(
    [...behind].map(async (shard) => {
      try {
        if (isAway(shard)) return away.push(shard);
        const batch = await background.plain(shardKeys(shard).events, async (client) => {
          await assertKept(client, [shard], places);
          return readEntries(client, [shard], places, null);
        });
        entries.push(...batch.entries);
        if (!batch.full) behind.delete(shard);
        return;
      } catch (error) {
        const failure = classifyRedisError(error);
        if (failure.code !== 'STORE_UNAVAILABLE') throw failure;
        return away.push(shard);
      }
    }),
  );
  return { entries: inOrder(entries), away };
}
