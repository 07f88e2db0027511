import { assertThat } from './assert-that.ts';

/**
 * The output credit of one channel, as its receiver keeps it: what was received and is still held by a reader, and what
 * was released and not granted again yet. Small releases travel together.
 *
 * Invariant: whoever has released everything has granted all but `idleGrantBytes` of it, so the responder always has
 * credit to go on with, whatever the window is.
 */
export class OutputCredit {
  readonly #grant: (bytes: number) => void;
  #held = 0;
  #ungranted = 0;
  #grantBytes = busyGrantBytes;
  #idleGrantBytes = idleGrantBytes;

  /** `windowBytes`: absent when the request leaves it to the wire. */
  constructor(grant: (bytes: number) => void, windowBytes?: number) {
    this.#grant = grant;
    if (windowBytes !== undefined) this.windowIs(windowBytes);
  }

  /** As the request or its Ack named it: credit goes back in quarters, so that the responder never runs dry. */
  windowIs(bytes: number): void {
    this.#grantBytes = Math.ceil(bytes / 4);
    this.#idleGrantBytes = this.#grantBytes;
  }

  received(bytes: number): void {
    this.#held += bytes;
  }

  release(bytes: number): void {
    assertThat(bytes >= 0 && bytes <= this.#held, 'only received bytes are released, and only once');
    this.#held -= bytes;
    this.#ungranted += bytes;
    const enough = this.#held === 0 ? this.#idleGrantBytes : this.#grantBytes;
    if (this.#ungranted === 0 || this.#ungranted < enough) return;
    const granted = this.#ungranted;
    this.#ungranted = 0;
    this.#grant(granted);
  }
}

/**
 * Where the window is the wire's own, its size is not known here: at least 1 KiB (protocol/README.md 4.2), of which a
 * quarter may wait once nothing is held; as long as a reader is behind, one grant for each of the largest frames.
 */
const idleGrantBytes = 256;
const busyGrantBytes = 65_536;
