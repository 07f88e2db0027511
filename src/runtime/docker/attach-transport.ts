import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { WarmpoolError } from '../../domain/errors.ts';
import { type LentBytes, readLent } from '../lent-reads.ts';
import { StdioDemultiplexer } from './stdio-demultiplexer.ts';

/**
 * The link to the guest over a hijacked attach connection: what is written goes to the guest's stdin as it is, what is
 * read is the guest's stdout. Owns the socket.
 *
 * Backpressure holds both ways: a reader that stops pauses the socket (the engine then stops reading the guest, which
 * blocks or waits for credit), and a write settles only when the socket has taken it. Ending or destroying it detaches;
 * the container goes on. When the engine ends the stream with something on the guest's stderr, that is the error, because
 * it is the only account of a guest that died young.
 */
export class AttachTransport extends Duplex {
  /** A write's callback comes when the socket has taken its bytes. */
  readonly settlesWritten = true;
  #socket: Socket;
  #lend: LentBytes | null = null;
  readonly #demultiplexer: StdioDemultiplexer;
  #stderrTail: Buffer = Buffer.alloc(0);
  #full = false;

  constructor(socket: Socket) {
    super({
      readableHighWaterMark: bufferedBytesMax,
      writableHighWaterMark: bufferedBytesMax,
      allowHalfOpen: false,
    });
    this.#socket = socket;
    this.#demultiplexer = new StdioDemultiplexer((stream, payload) => {
      if (stream === 'stdout') {
        if (this.#lend) this.#lend(payload);
        else if (!this.push(payload)) this.#full = true;
      } else if (stream !== 'stdin') {
        this.#stderrTail = Buffer.concat([this.#stderrTail, payload]).subarray(-stderrTailBytesMax);
      }
    });
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    this.#useSocket();
    socket.pause();
  }

  /** From now on all that the guest writes goes to `onBytes`, without backpressure: the guest's credit bounds it. */
  lend(onBytes: LentBytes): void {
    this.#lend = onBytes;
    this.#socket.removeAllListeners();
    this.#socket = readLent(this.#socket, (bytes) => this.#onData(bytes));
    this.#useSocket();
    this.resume();
  }

  /** The last of what the guest wrote to its stderr, control characters removed. */
  get stderrTail(): string {
    return this.#stderrTail
      .toString('utf8')
      .replace(/\p{C}+/gu, ' ')
      .trim();
  }

  override _read(): void {
    this.#full = false;
    this.#socket.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#socket.write(chunk, (error) => done(error ?? null));
  }

  override _writev(
    chunks: readonly { readonly chunk: Buffer }[],
    done: (error?: Error | null) => void,
  ): void {
    this.#socket.cork();
    const last = chunks.length - 1;
    for (const [index, { chunk }] of chunks.entries()) {
      if (index < last) this.#socket.write(chunk);
      else this.#socket.write(chunk, (error) => done(error ?? null));
    }
    this.#socket.uncork();
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#socket.destroySoon();
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#socket.destroy();
    done(error);
  }

  #useSocket(): void {
    const socket = this.#socket;
    // The engine client's idle timeout would end a link that is merely quiet.
    socket.setTimeout(0);
    socket.setNoDelay(true);
    socket.setKeepAlive(true, keepAliveMs);
    socket.on('end', () => this.#onEnd());
    socket.on('error', (error) => this.destroy(error));
    socket.on('close', () => this.#onEnd());
  }

  #onData(chunk: Uint8Array): void {
    try {
      this.#demultiplexer.push(chunk);
    } catch (error) {
      this.destroy(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    if (this.#full) this.#socket.pause();
  }

  #onEnd(): void {
    if (this.readableEnded || this.destroyed) return;
    if (this.stderrTail === '') {
      this.push(null);
      return;
    }
    const message = `the container's stream ended; the last it wrote to stderr: ${this.stderrTail}`;
    this.destroy(new WarmpoolError('GUEST_UNREACHABLE', message));
  }
}

/** One frame of the guest link and some; the rest waits in the kernel and with the guest's credit. */
const bufferedBytesMax = 131_072;
/** Enough for a loader's or the guest's last sentence. */
const stderrTailBytesMax = 2_048;
/** Finds out about a remote engine's host that vanished without a word. */
const keepAliveMs = 15_000;
