import { setImmediate } from 'node:timers/promises';
import type { Clock } from '../../src/domain/clock.ts';

/**
 * Time that moves from one timer to the next as soon as nobody has anything left to do, so that hours of a control plane
 * over the memory store take seconds. Whatever runs on it may wait for nothing but timers of this clock and promises that
 * settle without I/O.
 */
export class VirtualClock implements Clock {
  #nowMs = 0;
  #made = 0;
  /** A binary heap by due time, then by order of making; cancelled ones stay until they are due. */
  readonly #timers: Timer[] = [];

  monotonicMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, callback: () => void): () => void {
    this.#made += 1;
    const timer: Timer = { dueMs: this.#nowMs + Math.max(0, delayMs), order: this.#made, callback };
    this.#push(timer);
    return () => {
      timer.callback = null;
    };
  }

  /** Settles at the time given, on this clock. */
  until(atMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.after(atMs - this.#nowMs, resolve);
    });
  }

  /** Lets time pass until the work is done. */
  async run<T>(work: Promise<T>): Promise<T> {
    let isDone = false;
    const done = () => {
      isDone = true;
    };
    work.then(done, done);
    for (;;) {
      // All promises that can settle have settled when the turn of immediates comes.
      await setImmediate();
      if (isDone) return work;
      let timer = this.#pop();
      while (timer?.callback === null) timer = this.#pop();
      if (!timer?.callback) throw new Error('everybody waits, and nothing will ever happen');
      this.#nowMs = Math.max(this.#nowMs, timer.dueMs);
      timer.callback();
    }
  }

  #push(timer: Timer): void {
    let at = this.#timers.push(timer) - 1;
    while (at > 0) {
      const up = (at - 1) >> 1;
      if (!this.#isBefore(at, up)) return;
      this.#swap(at, up);
      at = up;
    }
  }

  #pop(): Timer | undefined {
    const last = this.#timers.length - 1;
    if (last > 0) this.#swap(0, last);
    const first = this.#timers.pop();
    for (let at = 0; ; ) {
      const [left, right] = [2 * at + 1, 2 * at + 2];
      let least = at;
      if (left < last && this.#isBefore(left, least)) least = left;
      if (right < last && this.#isBefore(right, least)) least = right;
      if (least === at) return first;
      this.#swap(at, least);
      at = least;
    }
  }

  #isBefore(one: number, other: number): boolean {
    const [a, b] = [this.#timers[one], this.#timers[other]];
    if (!a || !b) return false;
    return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order);
  }

  #swap(one: number, other: number): void {
    const [a, b] = [this.#timers[one], this.#timers[other]];
    if (!a || !b) return;
    this.#timers[one] = b;
    this.#timers[other] = a;
  }
}

interface Timer {
  readonly dueMs: number;
  readonly order: number;
  /** null: cancelled. */
  callback: (() => void) | null;
}
