import { ResponderError } from '../../protocol/channel-opener.ts';
import { parseError } from '../../protocol/control-messages.ts';
import type { Frame } from '../../protocol/frame.ts';
import { pendingRequestsMax } from '../../protocol/limits.ts';
import { messageName, messageTypes } from '../../protocol/message-types.ts';
import { parseAckPayload } from '../../protocol/payload-parsers.ts';
import { Deferred } from '../deferred.ts';
import type { Clock } from '../domain/clock.ts';
import { assertThat, WarmpoolError } from '../domain/errors.ts';
import { LinkViolation, parsed } from './link-violation.ts';
import type { Outbox } from './outbox.ts';

interface Asked {
  readonly type: number;
  readonly answer: Deferred<Uint8Array>;
}

/**
 * The requests on channel 0 that wait for their answer. One that ran out of time stays until its answer comes, because a
 * late answer is honest and one that nobody asked for is not; a guest that owes the most allowed is asked no more.
 *
 * Invariant: each id is in `#owed` from its request to its answer, so no answer can be taken for another's.
 */
export class Requests {
  readonly #outbox: Outbox;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #owed = new Map<number, Asked>();
  #lastId = 0;

  constructor(deps: { outbox: Outbox; clock: Clock }, options: { timeoutMs: number }) {
    this.#outbox = deps.outbox;
    this.#clock = deps.clock;
    this.#timeoutMs = options.timeoutMs;
  }

  async ask(type: number, payload: Uint8Array): Promise<Uint8Array> {
    assertThat(isRequest(type), `${messageName(type)} is no request on channel 0`);
    if (this.#owed.size >= pendingRequestsMax) {
      const tooMany = `the guest has ${pendingRequestsMax} requests to answer already`;
      throw new WarmpoolError('LIMIT_EXCEEDED', tooMany);
    }
    const id = this.#nextId();
    const answer = new Deferred<Uint8Array>();
    this.#owed.set(id, { type, answer });
    const cancel = this.#clock.after(this.#timeoutMs, () => {
      const silent = `the guest did not answer ${messageName(type)} within ${this.#timeoutMs} ms`;
      answer.reject(new WarmpoolError('GUEST_UNREACHABLE', silent));
    });
    this.#outbox.send({ type, channel: 0, id, payload });
    return answer.promise.finally(cancel);
  }

  /** An Ack or an Error on channel 0. */
  onAnswer(frame: Frame): void {
    const asked = this.#owed.get(frame.id);
    if (frame.type === messageTypes.Error.code) {
      const { code, message } = parsed(frame, parseError(frame.payload));
      if (asked === undefined) throw new LinkViolation(`Error ${code} for the link`);
      this.#owed.delete(frame.id);
      asked.answer.reject(new ResponderError(code, message));
      return;
    }
    if (asked === undefined) throw new LinkViolation('Ack without its request');
    parsed(frame, parseAckPayload(asked.type, frame.payload));
    this.#owed.delete(frame.id);
    // The frame's chunk is not worth keeping alive for what an answer may be kept for.
    asked.answer.resolve(new Uint8Array(frame.payload));
  }

  lose(error: Error): void {
    for (const { answer } of this.#owed.values()) answer.reject(error);
    this.#owed.clear();
  }

  #nextId(): number {
    do {
      this.#lastId = this.#lastId === 0xffff_ffff ? 1 : this.#lastId + 1;
    } while (this.#owed.has(this.#lastId));
    return this.#lastId;
  }
}

function isRequest(type: number): boolean {
  const { ExecList, PortList, Stats } = messageTypes;
  return type === ExecList.code || type === PortList.code || type === Stats.code;
}
