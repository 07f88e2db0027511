import type { RequesterChannel } from '../../protocol/channel-opener.ts';
import { noPayload } from '../../protocol/frame.ts';
import { payloadBytesMax } from '../../protocol/limits.ts';
import { messageTypes } from '../../protocol/message-types.ts';
import { Deferred } from '../deferred.ts';

interface PendingWrite {
  readonly bytes: Uint8Array;
  readonly done: Deferred<void>;
}

/**
 * The input of one channel on its way out: writes in order, cut into frames, within the credit that the responder has
 * granted. It makes no copies: a write's bytes are the channel's from then on, and the promise is only the backpressure.
 *
 * States: open → ending (`end` was called, writes still wait) → ended (InputEof is sent); `dropped` from any, when the
 * channel is over: after a regular end writes settle as done, since nobody reads them any more; else they reject.
 */
export class InputWriter {
  #channel: RequesterChannel | undefined;
  #writes: PendingWrite[] = [];
  /** Of the first write, how much was sent already. */
  #firstSentBytes = 0;
  #state: 'open' | 'ending' | 'ended' | 'dropped' = 'open';
  #dropError: unknown;

  /** From now on credit may be used. */
  attach(channel: RequesterChannel): void {
    this.#channel = channel;
    this.pump();
  }

  write(bytes: Uint8Array): Promise<void> {
    if (this.#state === 'dropped') {
      return this.#dropError === undefined ? Promise.resolve() : Promise.reject(this.#dropError);
    }
    if (this.#state !== 'open') return Promise.reject(new Error('written after the end of the input'));
    if (bytes.length === 0) return Promise.resolve();
    const write = { bytes, done: new Deferred<void>() };
    this.#writes.push(write);
    this.pump();
    return write.done.promise;
  }

  end(): void {
    if (this.#state !== 'open') return;
    this.#state = 'ending';
    this.pump();
  }

  /** Called when there may be new credit. */
  pump(): void {
    const channel = this.#channel;
    if (channel === undefined || this.#state === 'dropped' || this.#state === 'ended') return;
    for (let write = this.#writes[0]; write; write = this.#writes[0]) {
      const length = Math.min(
        channel.inputCredit,
        payloadBytesMax,
        write.bytes.length - this.#firstSentBytes,
      );
      if (length <= 0) return;
      const start = this.#firstSentBytes;
      const isWhole = start + length === write.bytes.length;
      this.#firstSentBytes = isWhole ? 0 : start + length;
      if (isWhole) this.#writes.shift();
      // Last: it may come back here before it returns.
      channel.send(messageTypes.Input.code, write.bytes.subarray(start, start + length));
      if (isWhole) write.done.resolve();
    }
    if (this.#state !== 'ending') return;
    this.#state = 'ended';
    channel.send(messageTypes.InputEof.code, noPayload);
  }

  drop(error?: unknown): void {
    if (this.#state === 'dropped') return;
    this.#state = 'dropped';
    this.#dropError = error;
    const waiting = this.#writes;
    this.#writes = [];
    for (const { done } of waiting) {
      if (error === undefined) done.resolve();
      else done.reject(error);
    }
  }
}
