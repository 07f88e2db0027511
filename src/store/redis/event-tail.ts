import type { Redis } from 'ioredis';
import { type Clock, pause } from '../../domain/clock.ts';
import { assertKept, placesNow, readEntries, type StreamEntry } from './event-reader.ts';
import { streamBlockMs } from './redis-connection.ts';
import { classifyRedisError } from './redis-errors.ts';

/**
 * After a read that brought something the tail rests this long, so that a storm of claims costs a hundred reads a second and
 * not one each. The first event after a quiet time is heard at once; later ones are at most this much late.
 */
export const restMs = 10;
/** Between attempts while the server is away: the tail is late by at most this after it is back. */
const retryPauseMs = 250;

/** Somebody who wants everything that is new. */
export interface TailListener {
  heard(entries: readonly StreamEntry[]): void;
  /** Something may have been left out: read for yourself from where you are. */
  missed(): void;
}

/**
 * Waits at the end of all event streams for everybody in this process, on one blocking connection. It runs while
 * somebody listens. Its only state is its place in each stream, so an outage costs nothing but time; if its place was
 * trimmed away meanwhile, it starts at the end again and says so.
 *
 * Turned down: a blocking connection for each follower. A thousand watchers would be a thousand connections, each of
 * which Redis has to wake for every single event.
 */
export class EventTail {
  readonly #clock: Clock;
  readonly #connect: () => Redis;
  readonly #listeners = new Set<TailListener>();
  #run: { readonly stop: AbortController; readonly waiting: Promise<void> } | null = null;

  constructor(deps: { readonly clock: Clock; readonly connect: () => Redis }) {
    this.#clock = deps.clock;
    this.#connect = deps.connect;
  }

  /** Settles once everything that is written from then on will be heard, or the signal aborts. */
  async listen(listener: TailListener, signal: AbortSignal): Promise<void> {
    this.#listeners.add(listener);
    this.#run ??= this.#start();
    const { waiting } = this.#run;
    await new Promise<void>((resolve) => {
      const settle = () => {
        signal.removeEventListener('abort', settle);
        resolve();
      };
      signal.addEventListener('abort', settle);
      void waiting.then(settle);
      if (signal.aborted) settle();
    });
  }

  leave(listener: TailListener): void {
    this.#listeners.delete(listener);
    if (this.#listeners.size > 0) return;
    this.#run?.stop.abort();
    this.#run = null;
  }

  #start(): { readonly stop: AbortController; readonly waiting: Promise<void> } {
    const stop = new AbortController();
    const waiting = new Promise<void>((resolve) => {
      void this.#follow(stop.signal, resolve);
    });
    return { stop, waiting };
  }

  async #follow(signal: AbortSignal, isWaiting: () => void): Promise<void> {
    const client = this.#connect();
    signal.addEventListener('abort', () => client.disconnect(), { once: true });
    let places: string[] | null = null;
    let mayBeTrimmed = false;
    let lostPlace = false;
    while (!signal.aborted) {
      try {
        if (places === null) {
          places = [...(await placesNow(client))];
          isWaiting();
          // Said only now: what a listener reads from here on meets what the tail hears from here on.
          if (lostPlace) for (const listener of [...this.#listeners]) listener.missed();
          lostPlace = false;
        }
        if (mayBeTrimmed) await assertKept(client, places);
        mayBeTrimmed = false;
        const { entries, full } = await readEntries(client, places, streamBlockMs);
        for (const { shard, id } of entries) places[shard] = id;
        mayBeTrimmed = full;
        if (entries.length === 0) continue;
        for (const listener of [...this.#listeners]) listener.heard(entries);
        if (!full) await pause(this.#clock, restMs, signal);
      } catch (error) {
        if (signal.aborted) break;
        if (classifyRedisError(error).code === 'STORE_UNAVAILABLE') {
          mayBeTrimmed = true;
        } else {
          // The place is gone, or a stream is not one: whoever listens finds out by reading from his own place.
          places = null;
          lostPlace = true;
        }
        await pause(this.#clock, retryPauseMs, signal);
      }
    }
    client.disconnect();
  }
}
