import { type Clock, pause } from '../domain/clock.ts';
import { isWarmpoolError } from '../domain/errors.ts';
import type { Log } from '../observability/log.ts';
import type { EventCursor, PoolStore, StoreEvent } from './pool-store.ts';

/** Neither may throw or wait. */
export interface FeedListener {
  heard(event: StoreEvent): void;
  /** Events may have been left out: look for yourself. */
  missed(): void;
}

/**
 * Wakes the parts of one process when the store has news. It owns one follower of the store's event streams and hands
 * each event to its listeners; when it has to begin at a new place it says that something may have been missed. It only
 * shortens waits (D6): everybody who listens also looks by himself now and then, and is right with every event lost.
 */
export class TransitionFeed implements AsyncDisposable {
  readonly #store: Pick<PoolStore, 'follow'>;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #listeners = new Set<FeedListener>();
  readonly #waiters = new Map<string, Set<() => void>>();
  readonly #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(deps: { store: Pick<PoolStore, 'follow'>; clock: Clock; log: Log }) {
    this.#store = deps.store;
    this.#clock = deps.clock;
    this.#log = deps.log;
  }

  start(): void {
    this.#running = this.#follow();
  }

  /** Every event from now on; the returned function ends it. */
  listen(listener: FeedListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Settles at the next event of this sandbox, when one may have been missed, after `pollMs`, or when the signal aborts:
   * then look for yourself.
   */
  news(sandboxId: string, pollMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const waiters = this.#waiters.get(sandboxId) ?? new Set();
      const settle = () => {
        cancelTimer();
        signal.removeEventListener('abort', settle);
        waiters.delete(settle);
        if (waiters.size === 0) this.#waiters.delete(sandboxId);
        resolve();
      };
      const cancelTimer = this.#clock.after(pollMs, settle);
      signal.addEventListener('abort', settle);
      waiters.add(settle);
      this.#waiters.set(sandboxId, waiters);
      if (signal.aborted) settle();
    });
  }

  async #follow(): Promise<void> {
    const signal = this.#stop.signal;
    let cursor: EventCursor | null = null;
    while (!signal.aborted) {
      try {
        const batches = await this.#store.follow(cursor, signal);
        if (cursor === null) this.#missed();
        for await (const events of batches) {
          for (const event of events) {
            cursor = event.cursor;
            this.#deliver(event);
          }
        }
      } catch (error) {
        if (signal.aborted) return;
        // A cursor the streams have been trimmed past: what was missed is found by the listeners' own looking.
        if (isWarmpoolError(error) && error.code === 'INVALID_REQUEST') cursor = null;
        this.#log.warn({ err: error }, 'following the event streams was interrupted; trying again');
      }
      await pause(this.#clock, retryMs, signal);
    }
  }

  #deliver(event: StoreEvent): void {
    for (const listener of this.#listeners) listener.heard(event);
    for (const wake of [...(this.#waiters.get(event.id) ?? [])]) wake();
  }

  #missed(): void {
    for (const listener of this.#listeners) listener.missed();
    for (const waiters of [...this.#waiters.values()]) for (const wake of [...waiters]) wake();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }
}

/** Short enough that a restarted store is followed again before anybody's own look comes round. */
const retryMs = 250;
