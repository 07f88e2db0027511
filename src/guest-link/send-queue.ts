import { type Frame, noPayload } from '../../protocol/frame.ts';
import { payloadBytesMax } from '../../protocol/limits.ts';
import { messageTypes } from '../../protocol/message-types.ts';

const { ExecResize, ExecSignal, Input } = messageTypes;

interface Waiting {
  readonly type: number;
  payload: Uint8Array;
  /** Memory of ours that `payload` is the beginning of: short inputs gather in it. */
  room: Uint8Array | null;
}

/**
 * What one channel has sent and the transport has not taken, in the order of sending.
 *
 * Its size is bounded by whoever sends: Input by its credit, signals and sizes here. Short inputs are put together, so
 * that a window of single bytes (somebody typing into a guest that does not read) is a few frames and not 65,536.
 */
export class SendQueue {
  readonly #channel: number;
  readonly #waiting: Waiting[] = [];
  #smallFrames = 0;

  constructor(channel: number) {
    this.#channel = channel;
  }

  get first(): { readonly type: number } | undefined {
    return this.#waiting[0];
  }

  /** Of Input, all that waits. */
  get inputBytes(): number {
    let bytes = 0;
    for (const { type, payload } of this.#waiting) if (type === Input.code) bytes += payload.length;
    return bytes;
  }

  /** The bytes are the queue's from now on. */
  pushInput(bytes: Uint8Array): void {
    if (bytes.length <= shortBytesMax && this.#gathered(bytes)) return;
    for (let offset = 0; offset < bytes.length; offset += payloadBytesMax) {
      this.push(Input.code, bytes.subarray(offset, offset + payloadBytesMax));
    }
  }

  /** What of these lent bytes still waits becomes the queue's own. */
  keep(lent: Uint8Array): void {
    for (const waiting of this.#waiting) {
      if (waiting.payload.buffer === lent.buffer) waiting.payload = new Uint8Array(waiting.payload);
    }
  }

  /** A signal or a size: under no credit, so past a bound it is dropped. */
  pushSmall(type: number, payload: Uint8Array): void {
    if (this.#smallFrames >= smallFramesMax) return;
    this.#smallFrames += 1;
    this.push(type, payload);
  }

  push(type: number, payload: Uint8Array = noPayload): void {
    this.#waiting.push({ type, payload, room: null });
  }

  shift(): Frame | null {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) return null;
    const { type, payload } = waiting;
    if (type === ExecSignal.code || type === ExecResize.code) this.#smallFrames -= 1;
    return { type, channel: this.#channel, id: 0, payload };
  }

  clear(): void {
    this.#waiting.length = 0;
    this.#smallFrames = 0;
  }

  /** Whether the bytes went behind those of the last frame. */
  #gathered(bytes: Uint8Array): boolean {
    const last = this.#waiting[this.#waiting.length - 1];
    if (last === undefined || last.type !== Input.code) return false;
    const used = last.payload.length;
    if (last.room === null) {
      if (used > shortBytesMax) return false;
      last.room = new Uint8Array(roomBytes);
      last.room.set(last.payload);
    }
    if (used + bytes.length > last.room.length) return false;
    last.room.set(bytes, used);
    last.payload = last.room.subarray(0, used + bytes.length);
    return true;
  }
}

/** What costs more as a frame of its own than as a copy. */
const shortBytesMax = 1_024;
const roomBytes = 8_192;
/** Far more than a person resizes or a program signals while one batch is on its way. */
const smallFramesMax = 64;
