import type { RequesterChannel } from '../../protocol/channel-opener.ts';
import { noPayload } from '../../protocol/frame.ts';
import { messageTypes } from '../../protocol/message-types.ts';

interface PendingWrite {
  readonly bytes: Uint8Array;
  readonly settle: (error?: Error) => void;
}

/**
 * The stdin of one process on its way to its channel: writes in order, within the credit the guest has granted. It holds
 * no copies: a write's bytes are the queue's from then on, and its promise settles when the last of them is within the
 * credit, which is the backpressure.
 *
 * States: open → ending (`end` was called, writes still wait) → ended (the EOF was sent); `dropped` from any, when the
 * process has exited (writes settle as done: nobody reads them any more) or the link is lost (they reject).
 */
export class StdinQueue {
  readonly #channel: RequesterChannel;
  #writes: PendingWrite[] = [];
  /** Of the first write, how much was sent already. */
  #firstSentBytes = 0;
  #state: 'open' | 'ending' | 'ended' | 'dropped' = 'open';
  #dropError: Error | undefined;

  constructor(channel: RequesterChannel) {
    this.#channel = channel;
  }

  /** Whether more may be written; false after `end`. A dropped queue still takes writes, and settles them at once. */
  get acceptsWrites(): boolean {
    return this.#state === 'open' || this.#state === 'dropped';
  }

  write(bytes: Uint8Array): Promise<void> {
    if (this.#state === 'dropped') {
      return this.#dropError === undefined ? Promise.resolve() : Promise.reject(this.#dropError);
    }
    if (bytes.length === 0) return Promise.resolve();
    const written = new Promise<void>((resolve, reject) => {
      this.#writes.push({ bytes, settle: (error) => (error === undefined ? resolve() : reject(error)) });
    });
    this.pump();
    return written;
  }

  end(): void {
    if (this.#state !== 'open') return;
    this.#state = 'ending';
    this.pump();
  }

  /** Sends what the credit allows now. */
  pump(): void {
    for (let [write] = this.#writes; write !== undefined; [write] = this.#writes) {
      const { inputCredit } = this.#channel;
      if (inputCredit === 0) return;
      const end = Math.min(write.bytes.length, this.#firstSentBytes + inputCredit);
      this.#channel.send(messageTypes.Input.code, write.bytes.subarray(this.#firstSentBytes, end));
      this.#firstSentBytes = end;
      if (end < write.bytes.length) return;
      this.#writes.shift();
      this.#firstSentBytes = 0;
      write.settle();
    }
    if (this.#state !== 'ending') return;
    this.#state = 'ended';
    this.#channel.send(messageTypes.InputEof.code, noPayload);
  }

  /** The process has exited (no error) or the link is lost. */
  drop(error?: Error): void {
    if (this.#state === 'dropped') return;
    this.#state = 'dropped';
    this.#dropError = error;
    const waiting = this.#writes;
    this.#writes = [];
    for (const write of waiting) write.settle(error);
  }
}
