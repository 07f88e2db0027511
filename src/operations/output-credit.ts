import { assertThat } from './assert-that.ts';

/**
 * The output credit of one channel, as its receiver keeps it: what was received and is still held by a reader, and what
 * was released and not granted again yet. Small releases travel together.
 *
 * Invariant: whoever has released everything has granted all but half a window of it, so the responder always has credit
 * to go on with. Turned down: granting in quarters. Each grant is a message and a write on every hop of the way, and half
 * a window on the way is plenty where a round trip is short.
 */
export class OutputCredit {
  readonly #grant: (bytes: number) => void;
  readonly #windowBytes: () => number;
  #held = 0;
  #ungranted = 0;

  /** The window may become known, and change, while the channel is open. */
  constructor(grant: (bytes: number) => void, windowBytes: () => number) {
    this.#grant = grant;
    this.#windowBytes = windowBytes;
  }

  received(bytes: number): void {
    this.#held += bytes;
  }

  release(bytes: number): void {
    assertThat(bytes >= 0 && bytes <= this.#held, 'only received bytes are released, and only once');
    this.#held -= bytes;
    this.#ungranted += bytes;
    if (this.#ungranted === 0 || this.#ungranted < this.#windowBytes() / 2) return;
    const granted = this.#ungranted;
    this.#ungranted = 0;
    this.#grant(granted);
  }
}
