import type { Frame } from '../../protocol/frame.ts';
import { pendingRequestsMax, u32Max } from '../../protocol/limits.ts';
import { Deferred } from '../deferred.ts';

/**
 * The requests on channel 0 of one socket. As many as the protocol allows are with the node; the others wait here for
 * their turn, so that a caller never has to know of the limit.
 */
export class PendingRequests {
  readonly #send: (frame: Frame) => void;
  readonly #asked = new Map<number, Deferred<Uint8Array>>();
  readonly #waiting: {
    readonly type: number;
    readonly payload: Uint8Array;
    readonly answer: Deferred<Uint8Array>;
  }[] = [];
  #lastId = 0;

  constructor(send: (frame: Frame) => void) {
    this.#send = send;
  }

  ask(type: number, payload: Uint8Array): Promise<Uint8Array> {
    const answer = new Deferred<Uint8Array>();
    this.#waiting.push({ type, payload, answer });
    this.#askNext();
    return answer.promise;
  }

  /** False when nothing with this id was asked. */
  answered(id: number, payload: Uint8Array): boolean {
    return this.#settle(id, (answer) => answer.resolve(payload));
  }

  refused(id: number, error: Error): boolean {
    return this.#settle(id, (answer) => answer.reject(error));
  }

  lose(error: Error): void {
    for (const answer of this.#asked.values()) answer.reject(error);
    for (const { answer } of this.#waiting) answer.reject(error);
    this.#asked.clear();
    this.#waiting.length = 0;
  }

  #settle(id: number, settle: (answer: Deferred<Uint8Array>) => void): boolean {
    const answer = this.#asked.get(id);
    if (answer === undefined) return false;
    this.#asked.delete(id);
    settle(answer);
    this.#askNext();
    return true;
  }

  #askNext(): void {
    while (this.#asked.size < pendingRequestsMax) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      const id = this.#freeId();
      this.#asked.set(id, next.answer);
      this.#send({ type: next.type, channel: 0, id, payload: next.payload });
    }
  }

  #freeId(): number {
    do {
      this.#lastId = this.#lastId === u32Max ? 1 : this.#lastId + 1;
    } while (this.#asked.has(this.#lastId));
    return this.#lastId;
  }
}
