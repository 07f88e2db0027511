import { setMaxListeners } from 'node:events';
import type { Redis } from 'ioredis';
import { type Clock, pause } from '../../domain/clock.ts';
import { assertKept, endOf, readEntries, type StreamEntry } from './event-reader.ts';
import { shardKeys } from './keys.ts';
import { streamBlockMs } from './redis-client.ts';
import { classifyRedisError } from './redis-errors.ts';

/**
 * After a read that brought something a lane rests this long, so that a storm of claims costs a hundred reads a second and
 * not one each. The first event after a quiet time is heard at once; later ones are at most this much late.
 */
export const restMs = 10;
/** Between attempts while the server is away: the tail is late by at most this after it is back. */
const retryPauseMs = 250;

/** Somebody who wants everything that is new. */
export interface TailListener {
  heard(entries: readonly StreamEntry[]): void;
  /** Something of these shards may have been left out: read for yourself from where you are. */
  missed(shards: readonly number[]): void;
}

/** Shards whose streams one command can wait for. */
export interface TailLane {
  readonly shards: readonly number[];
  /** Throws when nobody knows by now where the shards are. */
  connect(): Redis;
  /** Whether a connection that has failed finds its server again by itself. */
  readonly reconnects: boolean;
}

/**
 * Waits at the end of all event streams for everybody in this process. It runs while somebody listens, in lanes: one server
 * is one lane, of one blocking connection; in a cluster each shard is one, because a command has keys of one slot. So a
 * shard whose master is away keeps nobody from hearing of the others.
 *
 * A lane's only state is its place in each of its streams, so an outage costs nothing but time; if its place was trimmed away
 * meanwhile, it starts at the end again and says so.
 *
 * Turned down: a blocking connection for each follower. A thousand watchers would be a thousand connections, each of
 * which Redis has to wake for every single event. And, in a cluster, to ask in turn without waiting: it would be late, or
 * sixteen commands each time for nothing.
 */
export class EventTail {
  readonly #clock: Clock;
  readonly #lanes: readonly TailLane[];
  readonly #listeners = new Set<TailListener>();
  #run: { readonly stop: AbortController; readonly waiting: Promise<unknown> } | null = null;

  constructor(deps: { readonly clock: Clock; readonly lanes: readonly TailLane[] }) {
    this.#clock = deps.clock;
    this.#lanes = deps.lanes;
  }

  /** Settles once everything that is written from then on will be heard, or told as missed, or the signal aborts. */
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
    if (this.#listeners.size === 0) this.#stop();
  }

  /** Also for those who never leave: whoever stops in the middle of what he was told need not come back. */
  close(): void {
    this.#listeners.clear();
    this.#stop();
  }

  #stop(): void {
    this.#run?.stop.abort();
    this.#run = null;
  }

  #start(): { readonly stop: AbortController; readonly waiting: Promise<unknown> } {
    const stop = new AbortController();
    // Each lane listens twice, and a cluster has sixteen of them: Node would warn of a leak.
    setMaxListeners(2 * this.#lanes.length, stop.signal);
    const waiting = this.#lanes.map(
      (lane) =>
        new Promise<void>((resolve) => {
          void this.#follow(lane, stop.signal, resolve);
        }),
    );
    return { stop, waiting: Promise.all(waiting) };
  }

  async #follow(lane: TailLane, signal: AbortSignal, isWaiting: () => void): Promise<void> {
    let client: Redis | null = null;
    signal.addEventListener('abort', () => client?.disconnect(), { once: true });
    let places: string[] | null = null;
    let mayBeTrimmed = false;
    let lostPlace = false;
    while (!signal.aborted) {
      try {
        client ??= lane.connect();
        if (places === null) {
          places = await endsOf(client, lane.shards);
          isWaiting();
          // Said only now: what a listener reads from here on meets what the tail hears from here on.
          if (lostPlace) for (const listener of [...this.#listeners]) listener.missed(lane.shards);
          lostPlace = false;
        }
        if (mayBeTrimmed) await assertKept(client, lane.shards, places);
        mayBeTrimmed = false;
        const { entries, full } = await readEntries(client, lane.shards, places, streamBlockMs);
        for (const { shard, id } of entries) places[shard] = id;
        mayBeTrimmed = full;
        if (entries.length === 0) continue;
        for (const listener of [...this.#listeners]) listener.heard(entries);
        if (!full) await pause(this.#clock, restMs, signal);
      } catch (error) {
        if (signal.aborted) break;
        if (!lane.reconnects) {
          client?.disconnect();
          client = null;
        }
        if (places !== null && classifyRedisError(error).code === 'STORE_UNAVAILABLE') {
          mayBeTrimmed = true;
        } else {
          // The place is gone, or a stream is not one, or the server was away from the beginning and nobody waits for it:
          // whoever listens finds out by reading from his own place.
          places = null;
          lostPlace = true;
          isWaiting();
        }
        await pause(this.#clock, retryPauseMs, signal);
      }
    }
    client?.disconnect();
  }
}

/** By shard; only those that were asked for are there. */
async function endsOf(client: Redis, shards: readonly number[]): Promise<string[]> {
  const places: string[] = [];
  await Promise.all(
    shards.map(async (shard) => {
      places[shard] = await endOf(client, shardKeys(shard).events);
    }),
  );
  return places;
}
