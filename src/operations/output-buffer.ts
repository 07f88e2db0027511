import { Deferred } from '../deferred.ts';

export interface OutputChunk {
  readonly stream: 'stdout' | 'stderr';
  readonly bytes: Uint8Array;
}

/**
 * Output between a channel and the one who reads it: at most one window, because what is held here is not released.
 * Consecutive small pieces are joined, so that a process that writes byte by byte costs neither an object nor a wake-up
 * a byte.
 *
 * States: flowing → ending (the channel is over; what is queued is still read) → over. `discard` drops what is queued
 * and all that follows, releasing it at once. Invariant: a reader waits only while flowing with nothing queued.
 */
export class OutputBuffer {
  readonly #release: (bytes: number) => void;
  #chunks: OutputChunk[] = [];
  /** Room behind the last chunk, when that chunk is a joined one. */
  #joint: { readonly slab: Uint8Array; start: number; used: number } | undefined;
  readonly #readers: Deferred<OutputChunk | undefined>[] = [];
  #end: { readonly error: unknown } | undefined;
  #discards = false;
  /** Handed to the reader, who has not asked for more since. */
  #handedBytes = 0;
  #takenBytes = 0;

  constructor(release: (bytes: number) => void) {
    this.#release = release;
  }

  /** All that the reader was handed, or has left behind by `discard`. */
  get takenBytes(): number {
    return this.#takenBytes;
  }

  push(stream: 'stdout' | 'stderr', bytes: Uint8Array): void {
    if (this.#discards) {
      this.#takenBytes += bytes.length;
      this.#release(bytes.length);
      return;
    }
    const reader = this.#readers.shift();
    if (reader) {
      this.#handedBytes += bytes.length;
      this.#takenBytes += bytes.length;
      reader.resolve({ stream, bytes: toKeep(bytes) });
      return;
    }
    if (bytes.length <= joinedBytesMax) this.#join(stream, bytes);
    else {
      this.#joint = undefined;
      this.#chunks.push({ stream, bytes: toKeep(bytes) });
    }
  }

  /** Nothing follows. What is queued is still read, then the readers get the end, or throw `error`. */
  end(error?: unknown): void {
    if (this.#end) return;
    this.#end = { error };
    for (const reader of this.#readers.splice(0)) this.#settleEnd(reader);
  }

  /** Nothing follows, and nobody wants what is queued. */
  drop(error?: unknown): void {
    this.#clear();
    this.end(error);
  }

  /** The reader has gone, and what it would have read is not to hold up the sender. */
  discard(): void {
    if (this.#discards) return;
    this.#discards = true;
    const queued = this.#clear();
    const held = this.#handedBytes + queued;
    this.#handedBytes = 0;
    this.#takenBytes += queued;
    this.#release(held);
    this.end();
  }

  /** The next piece; undefined at the end. Asking for it gives back the credit of the one before. */
  read(): Promise<OutputChunk | undefined> {
    // First of all: what is released may bring the next piece at once.
    const before = this.#handedBytes;
    this.#handedBytes = 0;
    if (before > 0) this.#release(before);
    const next = this.#chunks.shift();
    if (next) {
      if (this.#chunks.length === 0) this.#joint = undefined;
      this.#handedBytes = next.bytes.length;
      this.#takenBytes += next.bytes.length;
      return Promise.resolve(next);
    }
    const reader = new Deferred<OutputChunk | undefined>();
    if (this.#end) this.#settleEnd(reader);
    else this.#readers.push(reader);
    return reader.promise;
  }

  #join(stream: 'stdout' | 'stderr', bytes: Uint8Array): void {
    const last = this.#chunks.at(-1);
    let joint = this.#joint;
    if (joint && joint.used + bytes.length > joint.slab.length) joint = undefined;
    const goesOn = joint !== undefined && last?.stream === stream;
    joint ??= { slab: new Uint8Array(slabBytes), start: 0, used: 0 };
    if (!goesOn) joint.start = joint.used;
    joint.slab.set(bytes, joint.used);
    joint.used += bytes.length;
    const chunk = { stream, bytes: joint.slab.subarray(joint.start, joint.used) };
    if (goesOn) this.#chunks[this.#chunks.length - 1] = chunk;
    else this.#chunks.push(chunk);
    this.#joint = joint;
  }

  /** How many bytes were queued. */
  #clear(): number {
    const bytes = this.#chunks.reduce((sum, chunk) => sum + chunk.bytes.length, 0);
    this.#chunks = [];
    this.#joint = undefined;
    return bytes;
  }

  #settleEnd(reader: Deferred<OutputChunk | undefined>): void {
    if (this.#end?.error === undefined) reader.resolve(undefined);
    else reader.reject(this.#end.error);
  }
}

/** Up to here copying is cheaper than an object and a wake-up. */
const joinedBytesMax = 1_024;
/** One slab holds this much of joined pieces. */
const slabBytes = 8_192;

/**
 * Bytes that may be kept for long. A view keeps the whole piece alive that came in from the wire, so it is handed on
 * only when it is a good part of that; otherwise a thousand kept lines could hold a thousand pieces of 64 KiB.
 */
function toKeep(bytes: Uint8Array): Uint8Array {
  return bytes.length * keptFractionMax < bytes.buffer.byteLength ? new Uint8Array(bytes) : bytes;
}

const keptFractionMax = 4;
