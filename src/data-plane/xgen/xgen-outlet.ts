import { encodeFrame, type Frame, noPayload } from '../../../protocol/frame.ts';
import type { XgenSocket } from './xgen-socket.ts';

/**
 * The way out of one connection: every frame for the client goes through here, in order, and none is dropped.
 *
 * The wire has no credit, so what bounds memory is what is allowed to come: each process may have one window of output
 * between the guest and the client (`reserveWindow`), and gets it back only when the bytes have left (`sent`). All windows
 * together stay under `outputBytesMax`. What a client makes us say in answer to its own frames (files, errors, pongs) is
 * bounded by not reading it further above `repliesBytesMax` (`onFull`).
 *
 * Turned down: pausing all processes at a high-water mark. One that floods would take the whole bound from the others.
 */
export class XgenOutlet {
  readonly #socket: XgenSocket;
  readonly #onFull: (full: boolean) => void;
  #unsentBytes = 0;
  #reservedBytes = 0;
  #full = false;
  #closed = false;
  readonly #waiting: (() => void)[] = [];

  constructor(socket: XgenSocket, onFull: (full: boolean) => void) {
    this.#socket = socket;
    this.#onFull = onFull;
  }

  /** After `close`: does nothing but to call `sent`. */
  send(frame: Partial<Frame> & Pick<Frame, 'type'>, sent?: () => void): void {
    if (this.#closed) {
      sent?.();
      return;
    }
    const message = encodeFrame({ channel: 0, id: 0, payload: noPayload, ...frame });
    this.#unsentBytes += message.length;
    this.#socket.send(message, () => {
      this.#unsentBytes -= message.length;
      sent?.();
      this.#changed();
    });
    this.#changed();
  }

  /** The window of one more process. The floor keeps late processes alive, and a thousand of them bounded. */
  reserveWindow(): number {
    const share = Math.floor((sharedBytesMax - this.#reservedBytes) / 8);
    const window = Math.max(windowBytesMin, Math.min(windowBytesMax, share));
    this.#reservedBytes += window;
    return window;
  }

  giveBackWindow(window: number): void {
    this.#reservedBytes -= window;
  }

  /** Settles when there is little enough on its way that a whole file may follow, or when the connection is closed. */
  async room(): Promise<void> {
    while (this.#unsentBytes > outputBytesMax && !this.#closed) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  close(): void {
    this.#closed = true;
    for (const wake of this.#waiting.splice(0)) wake();
  }

  #changed(): void {
    const full = this.#unsentBytes > repliesBytesMax;
    if (full !== this.#full) {
      this.#full = full;
      this.#onFull(full);
    }
    if (this.#unsentBytes <= outputBytesMax) for (const wake of this.#waiting.splice(0)) wake();
  }
}

const mebibyte = 1_048_576;
/** Of all processes of a connection together. */
const outputBytesMax = 8 * mebibyte;
/** Half of it is for windows of a useful size, the other for the smallest ones: a guest has 1,024 channels. */
const sharedBytesMax = outputBytesMax / 2;
const windowBytesMin = 4_096;
const windowBytesMax = 262_144;
/** Room for the largest message beside the output. */
const repliesBytesMax = outputBytesMax + 16 * mebibyte;
