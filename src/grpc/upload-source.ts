import type { Readable } from 'node:stream';
import { WarmpoolError } from '../domain/errors.ts';
import { onHalfClose } from './streaming-call.ts';

/**
 * The messages of a client's stream, one at a time: nothing is read ahead of who asks, so the client feels a slow sandbox
 * through HTTP/2's flow control. One reader.
 *
 * States: flowing → ended (the client half-closed) or aborted (the call is over).
 */
export class UploadSource<Message> {
  readonly #call: Readable & { readonly cancelled: boolean };
  readonly #signal: AbortSignal;
  #arrived: Message | null = null;
  #ended = false;
  #waiting: Waiting<Message> | null = null;

  constructor(call: Readable & { readonly cancelled: boolean }, signal: AbortSignal) {
    this.#call = call;
    this.#signal = signal;
    call.pause();
    call.on('data', (message: Message) => this.#onMessage(message));
    onHalfClose(call, () => this.#onEnd());
    signal.addEventListener('abort', () => this.#settle((waiting) => waiting.reject(signal.reason)), {
      once: true,
    });
  }

  /** null at the end. Rejects when the call is over, or nothing comes within `patienceMs`. */
  async next(patienceMs?: number): Promise<Message | null> {
    this.#signal.throwIfAborted();
    const arrived = this.#arrived;
    this.#arrived = null;
    if (arrived !== null) return arrived;
    if (this.#ended) return null;
    const message = new Promise<Message | null>((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
    const timer = patienceMs === undefined ? undefined : setTimeout(() => this.#late(patienceMs), patienceMs);
    this.#call.resume();
    return message.finally(() => clearTimeout(timer));
  }

  /** Nobody wants what still comes. */
  discard(): void {
    this.#call.removeAllListeners('data');
    this.#call.resume();
  }

  #onMessage(message: Message): void {
    this.#call.pause();
    const waiting = this.#waiting;
    this.#waiting = null;
    if (waiting) waiting.resolve(message);
    else this.#arrived = message;
  }

  #onEnd(): void {
    this.#ended = true;
    this.#settle((waiting) => waiting.resolve(null));
  }

  #late(patienceMs: number): void {
    const error = new WarmpoolError('DEADLINE_EXCEEDED', `no message came within ${patienceMs / 1_000} s`);
    this.#settle((waiting) => waiting.reject(error));
  }

  #settle(settle: (waiting: Waiting<Message>) => void): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    if (waiting) settle(waiting);
  }
}

interface Waiting<Message> {
  resolve(message: Message | null): void;
  reject(error: unknown): void;
}
