/**
 * Takes apart the stream of an attach without a terminal: Docker puts `u8 stream | 3 zero bytes | u32 length` before
 * each piece of output. Incremental: payload bytes are handed on as they come, as views on the input and never
 * gathered, so a frame of 64 MiB costs no memory. The state is the header read so far and the rest of the payload.
 *
 * dockerode's own `demuxStream` was turned down: it waits for whole frames, ignores backpressure, copies what it has
 * for each piece (quadratic) and takes a broken header for output.
 */
export class StdioDemultiplexer {
  readonly #sink: StdioSink;
  readonly #header = Buffer.alloc(headerBytes);
  #headerFilled = 0;
  #payloadLeft = 0;
  #stream: StdioStream = 'stdout';

  constructor(sink: StdioSink) {
    this.#sink = sink;
  }

  /** Gives the payloads inside `chunk` to the sink, in order. Throws when a header names no stream. */
  push(chunk: Uint8Array): void {
    let offset = 0;
    while (offset < chunk.length) {
      if (this.#payloadLeft > 0) {
        const end = Math.min(chunk.length, offset + this.#payloadLeft);
        const payload = chunk.subarray(offset, end);
        this.#payloadLeft -= payload.length;
        offset = end;
        this.#sink(this.#stream, payload);
        continue;
      }
      const wanted = Math.min(headerBytes - this.#headerFilled, chunk.length - offset);
      this.#header.set(chunk.subarray(offset, offset + wanted), this.#headerFilled);
      this.#headerFilled += wanted;
      offset += wanted;
      if (this.#headerFilled === headerBytes) this.#startPayload();
    }
  }

  #startPayload(): void {
    const stream = streams[this.#header.readUInt8(0)];
    if (stream === undefined) {
      throw new Error(
        `docker: stream ${this.#header.readUInt8(0)} in the header of an attached container's output`,
      );
    }
    this.#stream = stream;
    this.#payloadLeft = this.#header.readUInt32BE(4);
    this.#headerFilled = 0;
  }
}

/** `engine` is what the engine itself has to say instead of output (stream 3). */
export type StdioStream = 'stdin' | 'stdout' | 'stderr' | 'engine';
export type StdioSink = (stream: StdioStream, payload: Uint8Array) => void;

const headerBytes = 8;
const streams: readonly StdioStream[] = ['stdin', 'stdout', 'stderr', 'engine'];
