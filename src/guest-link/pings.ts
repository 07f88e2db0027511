import { type Frame, viewOf } from '../../protocol/frame.ts';
import { messageTypes } from '../../protocol/message-types.ts';
import { sameBytes } from '../../protocol/welcome-search.ts';
import { Deferred } from '../deferred.ts';
import type { Clock } from '../domain/clock.ts';
import { WarmpoolError } from '../domain/errors.ts';
import { LinkViolation } from './link-violation.ts';
import type { Outbox } from './outbox.ts';

/**
 * The pings on their way. A ping that ran out of time stays here until its Pong comes, because a late Pong is honest
 * and one that nobody asked for is not; a guest that owes `owedMax` of them is asked no more until it answers.
 */
export class Pings {
  readonly #outbox: Outbox;
  readonly #clock: Clock;
  readonly #owed = new Map<number, { bytes: Uint8Array; answer: Deferred<void> }>();
  #lastId = 0;

  constructor(deps: { outbox: Outbox; clock: Clock }) {
    this.#outbox = deps.outbox;
    this.#clock = deps.clock;
  }

  async ping(timeoutMs: number): Promise<void> {
    if (this.#owed.size >= owedMax) throw silent(`it owes ${owedMax} answers`);
    this.#lastId = this.#lastId === 0xffff_ffff ? 1 : this.#lastId + 1;
    const id = this.#lastId;
    const bytes = new Uint8Array(8);
    viewOf(bytes).setFloat64(0, this.#clock.monotonicMs());
    const answer = new Deferred<void>();
    this.#owed.set(id, { bytes, answer });
    const cancel = this.#clock.after(timeoutMs, () =>
      answer.reject(silent(`it did not answer within ${timeoutMs} ms`)),
    );
    this.#outbox.send({ type: messageTypes.Ping.code, channel: 0, id, payload: bytes });
    return answer.promise.finally(cancel);
  }

  onPong(frame: Frame): void {
    const owed = this.#owed.get(frame.id);
    if (owed === undefined || !sameBytes(owed.bytes, frame.payload)) {
      throw new LinkViolation('Pong without its Ping');
    }
    this.#owed.delete(frame.id);
    owed.answer.resolve();
  }

  lose(error: Error): void {
    for (const { answer } of this.#owed.values()) answer.reject(error);
    this.#owed.clear();
  }
}

function silent(why: string): WarmpoolError {
  return new WarmpoolError('GUEST_UNREACHABLE', `the guest is silent: ${why}`);
}

/** A supervisor asks every few seconds: this many unanswered is minutes of silence. */
const owedMax = 64;
