import type { Redis } from 'ioredis';
import { type Clock, pause } from '../../domain/clock.ts';
import type { EventCursor, StoreEvent } from '../pool-store.ts';
import { CursorWriter, parseCursor } from './event-cursor.ts';
import { assertKept, isBefore, placesNow, readEntries, type StreamEntry } from './event-reader.ts';
import type { EventTail } from './event-tail.ts';
import type { RedisConnection } from './redis-connection.ts';
import { classifyRedisError } from './redis-errors.ts';

/** What is heard while the consumer is busy; more than this is read again from Redis when he comes back. */
const heardMax = 4_096;
const retryPauseMs = 250;

export interface EventFollowerDeps {
  readonly clock: Clock;
  readonly tail: EventTail;
  /** Where the starting place is asked for: somebody waits, so that a store that is away is said at once. */
  readonly claims: Pick<RedisConnection, 'plain'>;
  /** Where the past is read. */
  readonly background: Redis;
}

/**
 * One consumer of the events. It is in one of two states: behind (reads the streams from its own places, without
 * waiting, until nothing is left) and at the end (takes what the tail hears). It listens to the tail before it reads,
 * so the two overlap; what it has read already is told by its place in that shard and passed over.
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
    return await deps.claims.plain(placesNow);
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
    while (!signal.aborted) {
      if (heard.takeMissed()) {
        for (let full = true; full && !signal.aborted; ) {
          const batch = await retried(deps.clock, signal, async () => {
            await assertKept(deps.background, writer.ids);
            return readEntries(deps.background, writer.ids, null);
          });
          if (batch === null) return;
          full = batch.full;
          const events = newEvents(batch.entries, writer);
          if (events.length > 0) yield events;
        }
        // While that was read and consumed more may have been missed: what was heard since would then leave a gap.
        continue;
      }
      const events = newEvents(heard.take(), writer);
      if (events.length > 0) yield events;
      await heard.something();
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
  #missed = true;
  #wake: () => void = () => {};

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  heard(entries: readonly StreamEntry[]): void {
    if (this.#entries.length + entries.length > heardMax) {
      this.missed();
    } else {
      this.#entries.push(...entries);
      this.#wake();
    }
  }

  missed(): void {
    this.#entries = [];
    this.#missed = true;
    this.#wake();
  }

  /** Whether something has to be read from the streams; says so once. */
  takeMissed(): boolean {
    const missed = this.#missed;
    this.#missed = false;
    return missed;
  }

  take(): readonly StreamEntry[] {
    const entries = this.#entries;
    this.#entries = [];
    return entries;
  }

  /** Settles when there is something to take or to read, or the signal aborts. */
  async something(): Promise<void> {
    if (this.#missed || this.#entries.length > 0 || this.#signal.aborted) return;
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

/** Repeats while the store is away; null once the follower has gone. */
async function retried<Value>(
  clock: Clock,
  signal: AbortSignal,
  read: () => Promise<Value>,
): Promise<Value | null> {
  while (!signal.aborted) {
    try {
      return await read();
    } catch (error) {
      if (signal.aborted) return null;
      const failure = classifyRedisError(error);
      if (failure.code !== 'STORE_UNAVAILABLE') throw failure;
      await pause(clock, retryPauseMs, signal);
    }
  }
  return null;
}
