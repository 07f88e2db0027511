import { invalidRequest } from '../../domain/errors.ts';
import type { EventCursor, StoreEvent } from '../pool-store.ts';
import { eventBatchMax } from '../store-limits.ts';

/**
 * Owns the last `capacity` events and wakes whoever follows them. An event's number never changes: the array starts at
 * `#firstNumber` and grows at the end. Followers keep only their own position, so a slow one costs nothing; one that
 * falls out of the log is told so instead of silently missing events.
 */
export class EventLog {
  readonly #name: string;
  readonly #capacity: number;
  #events: StoreEvent[] = [];
  #firstNumber = 1;
  readonly #sleepers = new Set<() => void>();

  /** The name tells this log's cursors from those of an earlier process. */
  constructor(name: string, capacity: number) {
    this.#name = name;
    this.#capacity = capacity;
  }

  append(event: Omit<StoreEvent, 'cursor'>): void {
    const number = this.#firstNumber + this.#events.length;
    this.#events.push({ ...event, cursor: `${this.#name}.${number.toString(36)}` });
    // Cutting only when twice full keeps the cost of an append constant on average.
    if (this.#events.length >= 2 * this.#capacity) {
      this.#firstNumber += this.#events.length - this.#capacity;
      this.#events = this.#events.slice(-this.#capacity);
    }
    const sleepers = [...this.#sleepers];
    this.#sleepers.clear();
    for (const wake of sleepers) wake();
  }

  /** The position is taken now, not at the first read, so that nothing in between is missed. */
  follow(cursor: EventCursor | null, signal: AbortSignal): AsyncIterable<readonly StoreEvent[]> {
    const next = cursor === null ? this.#firstNumber + this.#events.length : this.#numberAfter(cursor);
    if (next === null) throw unreadableCursor('was not given out by this store');
    return this.#read(next, signal);
  }

  async *#read(start: number, signal: AbortSignal): AsyncGenerator<readonly StoreEvent[]> {
    let next = start;
    while (!signal.aborted) {
      const index = next - this.#firstNumber;
      if (index < 0) throw unreadableCursor('is too old: events after it are no longer kept');
      if (index > this.#events.length) throw unreadableCursor('was not given out by this store');
      const batch = this.#events.slice(index, index + eventBatchMax);
      if (batch.length === 0) {
        await this.#slept(signal);
      } else {
        next += batch.length;
        yield batch;
      }
    }
  }

  #slept(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.#sleepers.delete(wake);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      this.#sleepers.add(wake);
      signal.addEventListener('abort', wake);
    });
  }

  #numberAfter(cursor: EventCursor): number | null {
    const [name, text, ...rest] = cursor.slice(0, 512).split('.');
    if (name !== this.#name || text === undefined || rest.length > 0 || !/^[0-9a-z]{1,10}$/.test(text))
      return null;
    return Number.parseInt(text, 36) + 1;
  }
}

function unreadableCursor(why: string): Error {
  return invalidRequest([{ field: 'after_event_id', description: why }]);
}
