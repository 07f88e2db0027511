import { type Frame, headerBytes, readFrame, viewOf } from './frame.ts';
import {
  linkHeaderBytes,
  linkHeaderOffset,
  linkTrailer,
  linkTrailerBytes,
  readLinkHeader,
} from './link-framing.ts';

/**
 * Cuts a byte stream into frames, strictly: the first byte that does not fit ends it for good, because on a synchronised
 * link that is a broken or hostile peer.
 *
 * It owns at most one unfinished frame. A frame that lies whole in a chunk and is a good part of it is handed out as a
 * view on that chunk, so nothing is copied; a smaller one is copied, because whoever keeps it would keep all of the chunk
 * alive with it. One that spans chunks is gathered in an allocation of its own size, which a header may claim but only up
 * to 65,549 bytes. A decoder that lends copies less: its frames are valid only during `onFrame`, so they are views whatever
 * their size, and what spans chunks is gathered in one place again and again. Each way header and payload come in one piece, `Frame.message`: on both wires a frame is the same bytes,
 * so that a node forwards them as they are. Turned down: concatenating chunks, which is quadratic for a slow sender.
 *
 * States: reading a header (`#rest` null) → reading the rest (`#rest` set) → …; `broken` or `stopped` from any, for good.
 */
export class LinkDecoder {
  readonly #lends: boolean;
  readonly #header = new Uint8Array(linkHeaderBytes);
  readonly #headerView = viewOf(this.#header);
  #headerFilled = 0;
  /** The frame whose length is known: its own header, payload and trailer. */
  #rest: Uint8Array | null = null;
  #restFilled = 0;
  /** Of a decoder that lends: where `#rest` lies. */
  #gathered: Uint8Array = noBytes;
  #end: string | null = null;

  constructor(frames: 'kept' | 'lent' = 'kept') {
    this.#lends = frames === 'lent';
  }

  /** Why no more frames come out; null while they do. */
  get end(): string | null {
    return this.#end;
  }

  /** From inside `onFrame`: the rest of the chunk and everything later is ignored. */
  stop(): void {
    this.#end ??= 'stopped';
    this.#rest = null;
  }

  /** Hands each completed frame to `onFrame` in order. Afterwards `end` says whether the stream was still valid. */
  push(chunk: Uint8Array, onFrame: (frame: Frame) => void): void {
    const view = viewOf(chunk);
    let offset = 0;
    while (this.#end === null && offset < chunk.length) {
      const inPlace = this.#headerFilled === 0 && chunk.length - offset >= linkHeaderBytes;
      offset = inPlace
        ? this.#takeInPlace(chunk, view, offset, onFrame)
        : this.#gather(chunk, offset, onFrame);
    }
  }

  /** A frame begins at `offset` and its header is in the chunk. */
  #takeInPlace(chunk: Uint8Array, view: DataView, offset: number, onFrame: (frame: Frame) => void): number {
    const length = readLinkHeader(view, offset);
    if (typeof length === 'string') return this.#break(length, chunk);
    const payloadOffset = offset + linkHeaderBytes;
    const trailerOffset = payloadOffset + length;
    if (trailerOffset + linkTrailerBytes > chunk.length) return this.#gather(chunk, offset, onFrame);
    if (view.getUint32(trailerOffset) !== linkTrailer) return this.#break(wrongTrailer, chunk);
    const message = chunk.subarray(offset + linkHeaderOffset, trailerOffset);
    onFrame(readFrame(view, offset + linkHeaderOffset, this.#lends ? message : toKeep(message)));
    return trailerOffset + linkTrailerBytes;
  }

  /** Copies towards the end of the unfinished frame; one step: header or rest. */
  #gather(chunk: Uint8Array, offset: number, onFrame: (frame: Frame) => void): number {
    if (this.#rest === null) {
      const end = Math.min(chunk.length, offset + linkHeaderBytes - this.#headerFilled);
      this.#header.set(chunk.subarray(offset, end), this.#headerFilled);
      this.#headerFilled += end - offset;
      if (this.#headerFilled < linkHeaderBytes) return end;
      const length = readLinkHeader(this.#headerView, 0);
      if (typeof length === 'string') return this.#break(length, chunk);
      this.#rest = this.#room(headerBytes + length + linkTrailerBytes);
      this.#rest.set(this.#header.subarray(linkHeaderOffset));
      this.#restFilled = headerBytes;
      return end;
    }
    const rest = this.#rest;
    const end = Math.min(chunk.length, offset + rest.length - this.#restFilled);
    rest.set(chunk.subarray(offset, end), this.#restFilled);
    this.#restFilled += end - offset;
    if (this.#restFilled < rest.length) return end;
    this.#rest = null;
    this.#headerFilled = 0;
    const trailerOffset = rest.length - linkTrailerBytes;
    const view = viewOf(rest);
    if (view.getUint32(trailerOffset) !== linkTrailer) return this.#break(wrongTrailer, chunk);
    onFrame(readFrame(view, 0, rest.subarray(0, trailerOffset)));
    return end;
  }

  #room(bytes: number): Uint8Array {
    if (!this.#lends) return new Uint8Array(bytes);
    if (this.#gathered.length < bytes) this.#gathered = new Uint8Array(bytes);
    return this.#gathered.subarray(0, bytes);
  }

  #break(reason: string, chunk: Uint8Array): number {
    this.#end = reason;
    this.#rest = null;
    return chunk.length;
  }
}

/** A copy, when the view would keep many times its own size alive. */
function toKeep(view: Uint8Array): Uint8Array {
  return view.length * keptFactorMax < view.buffer.byteLength ? new Uint8Array(view) : view;
}

/** Output of 16 KB in chunks of 64 KB, the common case, stays uncopied. */
const keptFactorMax = 4;
const noBytes = new Uint8Array(0);
const wrongTrailer = 'a frame does not end with the trailer';
