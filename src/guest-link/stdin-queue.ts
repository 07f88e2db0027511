import { type Frame, noPayload } from '../../protocol/frame.ts';
import { payloadBytesMax } from '../../protocol/limits.ts';
import { messageTypes } from '../../protocol/message-types.ts';
import type { BulkSource } from './outbox.ts';

interface PendingWrite {
  readonly bytes: Uint8Array;
  readonly settle: (error?: Error) => void;
}

/**
 * The stdin of one process on its way to the guest: writes in order, cut into frames, within the credit the guest has
 * granted. It holds no copies: a write's bytes stay the caller's until its promise settles, which is the backpressure.
 *
 * States: open → ending (`end` was called, writes still wait) → ended (the EOF frame was taken); `dropped` from any,
 * when the process has exited (writes settle as done: nobody reads them any more) or the link is lost (they reject).
 */
export class StdinQueue implements BulkSource {
  readonly #channel: number;
  readonly #windowBytes: number;
  #credit: number;
  #writes: PendingWrite[] = [];
  /** Of the first write, how much was taken already. */
  #firstTakenBytes = 0;
  /** Writes wholly taken into a batch that is not with the transport yet. */
  #inBatch: PendingWrite[] = [];
  #state: 'open' | 'ending' | 'ended' | 'dropped' = 'open';
  #dropError: Error | undefined;

  constructor(channel: number, windowBytes: number) {
    this.#channel = channel;
    this.#windowBytes = windowBytes;
    this.#credit = windowBytes;
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
    return new Promise((resolve, reject) => {
      this.#writes.push({ bytes, settle: (error) => (error === undefined ? resolve() : reject(error)) });
    });
  }

  end(): void {
    if (this.#state === 'open') this.#state = 'ending';
  }

  /** False when the guest grants more than it can have been sent, which no honest guest does. */
  grant(bytes: number): boolean {
    if (this.#credit + bytes > this.#windowBytes) return false;
    this.#credit += bytes;
    return true;
  }

  take(bytesMax: number): Frame | null {
    const write = this.#writes[0];
    if (write === undefined) return this.#takeEnd();
    const length = Math.min(
      bytesMax,
      payloadBytesMax,
      this.#credit,
      write.bytes.length - this.#firstTakenBytes,
    );
    if (length === 0) return null;
    const payload = write.bytes.subarray(this.#firstTakenBytes, this.#firstTakenBytes + length);
    this.#credit -= length;
    this.#firstTakenBytes += length;
    if (this.#firstTakenBytes === write.bytes.length) {
      this.#writes.shift();
      this.#firstTakenBytes = 0;
      this.#inBatch.push(write);
    }
    return { type: messageTypes.Input.code, channel: this.#channel, id: 0, payload };
  }

  taken(): void {
    for (const write of this.#inBatch) write.settle();
    this.#inBatch = [];
  }

  /** The process has exited (no error) or the link is lost. */
  drop(error?: Error): void {
    if (this.#state === 'dropped') return;
    this.#state = 'dropped';
    this.#dropError = error;
    const waiting = [...this.#inBatch, ...this.#writes];
    this.#inBatch = [];
    this.#writes = [];
    for (const write of waiting) write.settle(error);
  }

  #takeEnd(): Frame | null {
    if (this.#state !== 'ending') return null;
    this.#state = 'ended';
    return { type: messageTypes.InputEof.code, channel: this.#channel, id: 0, payload: noPayload };
  }
}
