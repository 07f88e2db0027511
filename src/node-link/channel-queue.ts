import { encodeCredit, parseCredit } from '../../protocol/control-messages.ts';
import type { Frame } from '../../protocol/frame.ts';
import { messageTypes } from '../../protocol/message-types.ts';

const { Credit, ExecResize, ExecSignal, Input } = messageTypes;

interface Waiting {
  readonly type: number;
  /** What is sent is its beginning. */
  readonly room: Uint8Array;
  usedBytes: number;
}

/**
 * What one channel has sent and its node has not taken, in the order of sending; grants of credit are one number and go
 * first. It owns copies.
 *
 * Its size is bounded: Input by its credit, gathered so that a window of single bytes is a few frames; signals and sizes
 * here; and the request, the end of the input and the close come once each.
 */
export class ChannelQueue {
  readonly #channel: number;
  readonly #waiting: Waiting[] = [];
  #credit = 0;
  #smallFrames = 0;
  #heldBytes = 0;

  constructor(channel: number) {
    this.#channel = channel;
  }

  /** What it takes of memory, about. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0 && this.#credit === 0;
  }

  holds(type: number): boolean {
    return this.#waiting.some((waiting) => waiting.type === type);
  }

  push(type: number, payload: Uint8Array): void {
    if (type === Credit.code) {
      const granted = parseCredit(payload);
      if ('value' in granted) this.#credit += granted.value;
      return;
    }
    if (isSmall(type)) {
      // Under no credit: whoever sends so many while nothing moves has none of them noticed.
      if (this.#smallFrames >= smallFramesMax) return;
      this.#smallFrames += 1;
    }
    if (type === Input.code && payload.length <= shortBytesMax) this.#gather(payload);
    else this.#add(type, payload, payload.length);
  }

  /** null: nothing waits. */
  shift(): Frame | null {
    if (this.#credit > 0) {
      const payload = encodeCredit(this.#credit);
      this.#credit = 0;
      return { type: Credit.code, channel: this.#channel, id: 0, payload };
    }
    const waiting = this.#waiting.shift();
    if (waiting === undefined) return null;
    const { type, room, usedBytes } = waiting;
    this.#heldBytes -= room.length + overheadBytes;
    if (isSmall(type)) this.#smallFrames -= 1;
    return { type, channel: this.#channel, id: 0, payload: room.subarray(0, usedBytes) };
  }

  #gather(bytes: Uint8Array): void {
    const last = this.#waiting[this.#waiting.length - 1];
    if (last?.type === Input.code && last.usedBytes + bytes.length <= last.room.length) {
      last.room.set(bytes, last.usedBytes);
      last.usedBytes += bytes.length;
    } else this.#add(Input.code, bytes, roomBytes);
  }

  #add(type: number, payload: Uint8Array, bytes: number): void {
    const room = new Uint8Array(bytes);
    room.set(payload);
    this.#waiting.push({ type, room, usedBytes: payload.length });
    this.#heldBytes += bytes + overheadBytes;
  }
}

function isSmall(type: number): boolean {
  return type === ExecSignal.code || type === ExecResize.code;
}

/** What costs more as a frame of its own than as a copy. */
const shortBytesMax = 1_024;
const roomBytes = 8_192;
/** Far more than a person resizes or a program signals while a node is short of breath. */
const smallFramesMax = 64;
/** The objects around the bytes: so many empty frames are not for nothing. */
const overheadBytes = 128;
