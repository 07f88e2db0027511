import type { Clock } from '../../domain/clock.ts';
import { endedRecordMs } from '../../domain/limits.ts';

/**
 * The failed sandboxes that their callers have deleted here. The core forgets a failure when its owner deletes it, but not
 * before its object is gone: until then, which is a moment unless its node is away, this process knows that in this
 * dialect it is not there any more.
 *
 * Turned down: a state of its own in the store, which every other reader would have to know.
 */
export class DeletedFailures {
  readonly #clock: Clock;
  /** Until when each is to be left out, the oldest first. */
  readonly #until = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(sandboxId: string): void {
    const nowMs = this.#clock.monotonicMs();
    for (const [id, untilMs] of this.#until) {
      if (untilMs > nowMs && this.#until.size < keptMax) break;
      this.#until.delete(id);
    }
    this.#until.set(sandboxId, nowMs + endedRecordMs);
  }

  has(sandboxId: string): boolean {
    return this.#until.has(sandboxId);
  }
}

/** More than fail in the time that a record is kept, on any day that is worth serving. */
const keptMax = 10_000;
