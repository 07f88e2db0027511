import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { type LentBytes, readLent } from '../lent-reads.ts';

/**
 * The link to the guest over the sandbox's own stdin and stdout, as one stream. Owns both ends on this side.
 *
 * Backpressure holds both ways: a reader that stops pauses stdout, and the kernel's buffer then blocks the guest; a write
 * settles only when stdin has taken it. Ending or destroying it is end of file for the guest, which ends the sandbox.
 *
 * When the sandbox ends, `epitaph` says why, and that sentence is the error of the stream: it is the only account of a
 * sandbox that died young.
 */
export class StdioTransport extends Duplex {
  /** A write's callback comes when stdin has taken its bytes. */
  readonly settlesWritten = true;
  readonly #stdin: Socket;
  #stdout: Socket;
  readonly #epitaph: Promise<string | null>;

  constructor(stdio: { readonly stdin: Socket; readonly stdout: Socket }, epitaph: Promise<string | null>) {
    super({
      readableHighWaterMark: bufferedBytesMax,
      writableHighWaterMark: bufferedBytesMax,
      allowHalfOpen: true,
    });
    this.#stdin = stdio.stdin;
    this.#stdout = stdio.stdout;
    this.#epitaph = epitaph;
    this.#stdout.on('data', (chunk: Buffer) => {
      if (!this.push(chunk)) this.#stdout.pause();
    });
    this.#listenForEnd();
    // A guest that is gone is told by the end of stdout, with the reason; a broken stdin adds nothing to it.
    this.#stdin.on('error', () => void this.#onEnd());
    // The guest never writes there, but an unread end would never be seen.
    this.#stdin.resume();
    this.#stdout.pause();
    // An error before somebody listens must not end this process.
    this.on('error', () => undefined);
  }

  /** From now on all that is read goes to `onBytes`, without backpressure: the guest's credit bounds it. */
  lend(onBytes: LentBytes): void {
    this.#stdout.removeAllListeners();
    this.#stdout = readLent(this.#stdout, onBytes);
    this.#listenForEnd();
    this.resume();
  }

  override _read(): void {
    this.#stdout.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#stdin.write(chunk, (error) => done(error ?? null));
  }

  override _writev(
    chunks: { chunk: Buffer; encoding: BufferEncoding }[],
    done: (error?: Error | null) => void,
  ): void {
    this.#stdin.cork();
    const last = chunks.length - 1;
    for (const [index, { chunk }] of chunks.entries()) {
      if (index < last) this.#stdin.write(chunk);
      else this.#stdin.write(chunk, (error) => done(error ?? null));
    }
    this.#stdin.uncork();
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#stdin.end(() => done());
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#stdin.destroy();
    this.#stdout.destroy();
    done(error);
  }

  #listenForEnd(): void {
    this.#stdout.on('end', () => void this.#onEnd());
    this.#stdout.on('error', () => void this.#onEnd());
  }

  async #onEnd(): Promise<void> {
    const reason = await this.#epitaph;
    if (this.destroyed) return;
    if (reason === null) this.push(null);
    else this.destroy(new Error(reason));
  }
}

/** What a channel may have on the way to its guest: more would only delay backpressure. */
const bufferedBytesMax = 262_144;
