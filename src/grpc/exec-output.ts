import type { GuestProcess, OutputSink } from '../guest-link/guest.ts';
import type { ExecStreamResponse } from './gen/warmpool/v1/ExecStreamResponse.ts';

/** Small enough to interleave calls on one connection, big enough that framing does not matter. */
const messageBytesMax = 65_536;

/**
 * Carries a process's output to the client, in order, and gives credit back as it goes. Owns the output that has come
 * and has not been taken by the transport: at most the process's credit window, because credit is released only when the
 * transport has taken a message. One message is in flight at a time; what arrives meanwhile is joined into bigger ones,
 * so that a process that writes byte by byte does not cost a message a byte.
 *
 * Writing everything at once and watching `drain` was turned down: the stream's own buffer counts messages, not bytes.
 */
export class ExecOutput implements OutputSink {
  readonly #write: (message: ExecStreamResponse) => Promise<void>;
  readonly #queue: Run[] = [];
  #process: Pick<GuestProcess, 'release'> | null = null;
  #pumping: Promise<void> | null = null;

  constructor(write: (message: ExecStreamResponse) => Promise<void>) {
    this.#write = write;
  }

  onOutput(stream: 'stdout' | 'stderr', bytes: Buffer): void {
    const last = this.#queue.at(-1);
    if (last?.stream === stream && last.byteCount + bytes.length <= messageBytesMax) {
      last.chunks.push(bytes);
      last.byteCount += bytes.length;
    } else {
      for (let start = 0; start < bytes.length; start += messageBytesMax) {
        const chunk = bytes.subarray(start, start + messageBytesMax);
        this.#queue.push({ stream, chunks: [chunk], byteCount: chunk.length });
      }
    }
    this.#wake();
  }

  /** Output may come before its process is known here; it waits for this. */
  attach(process: Pick<GuestProcess, 'release'>): void {
    this.#process = process;
    this.#wake();
  }

  /** Settles when all output that has come was taken by the transport. */
  async flushed(): Promise<void> {
    while (this.#pumping) await this.#pumping;
  }

  #wake(): void {
    if (this.#pumping || !this.#process || this.#queue.length === 0) return;
    this.#pumping = this.#pump(this.#process).finally(() => {
      this.#pumping = null;
      this.#wake();
    });
  }

  async #pump(process: Pick<GuestProcess, 'release'>): Promise<void> {
    // Let the rest of the frames that came in the same read join the first message.
    await Promise.resolve();
    for (let run = this.#queue.shift(); run; run = this.#queue.shift()) {
      const [first] = run.chunks;
      const bytes = first && run.chunks.length === 1 ? first : Buffer.concat(run.chunks, run.byteCount);
      await this.#write(run.stream === 'stdout' ? { stdout: bytes } : { stderr: bytes });
      process.release(run.byteCount);
    }
  }
}

/** Consecutive output of one stream, to become one message. */
interface Run {
  readonly stream: 'stdout' | 'stderr';
  readonly chunks: Buffer[];
  byteCount: number;
}
