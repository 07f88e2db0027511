import { Duplex } from 'node:stream';
import type { PortConnection } from '../../operations/ports.ts';

/** A connection to a port inside as a stream of Node's, for what speaks HTTP over it. Ends and resets as the connection does. */
export class PortStream extends Duplex {
  readonly #connection: PortConnection;
  readonly #bytes: AsyncIterator<Uint8Array>;
  #reading = false;

  constructor(connection: PortConnection) {
    super({ allowHalfOpen: true });
    this.#connection = connection;
    this.#bytes = connection.bytes[Symbol.asyncIterator]();
    connection.closed.catch((error: unknown) => this.destroy(asError(error)));
  }

  override _read(): void {
    if (this.#reading) return;
    this.#reading = true;
    this.#bytes.next().then(
      ({ done, value }) => {
        this.#reading = false;
        // The bytes are asked for again by `_read` when there is room.
        this.push(done ? null : Buffer.from(value.buffer, value.byteOffset, value.byteLength));
      },
      (error: unknown) => this.destroy(asError(error)),
    );
  }

  override _write(bytes: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#connection.write(bytes).then(
      () => done(),
      (error: unknown) => done(asError(error)),
    );
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#connection.end();
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#connection.close();
    done(error);
  }

  /** What HTTP clients of Node ask of a socket. */
  setNoDelay(): this {
    return this;
  }
  setKeepAlive(): this {
    return this;
  }
  setTimeout(): this {
    return this;
  }
  ref(): this {
    return this;
  }
  unref(): this {
    return this;
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error('the connection was lost', { cause: error });
}
