import {
  connectPort,
  listPorts,
  type PortChange,
  type PortConnection,
  watchPorts,
} from '../operations/ports.ts';
import { readableStream, writableStream } from './byte-streams.ts';
import { call, translated, translatedSequence } from './client-call.ts';
import type { DataConnection } from './connection.ts';
import type { AbortOptions } from './sandbox-files.ts';

export interface PortWatching extends AsyncIterable<PortChange> {
  close(): void;
}

/** The TCP ports that programs in the sandbox listen on. */
export class SandboxPorts {
  readonly #connection: DataConnection;

  constructor(connection: DataConnection) {
    this.#connection = connection;
  }

  /** Those that are open now, ascending. */
  list(options: AbortOptions = {}): Promise<readonly number[]> {
    return call(this.#connection, options.signal, () => listPorts(this.#connection, options));
  }

  /** First those that are open now, then every change, within a second of it. It ends with the connection. */
  async watch(options: AbortOptions = {}): Promise<PortWatching> {
    const watch = await call(this.#connection, options.signal, () => watchPorts(this.#connection, options));
    const changes = translatedSequence(watch.changes);
    return { close: () => watch.close(), [Symbol.asyncIterator]: () => changes };
  }

  /** A TCP connection to a port inside. Rejects with `connection_refused` when nobody listens there. */
  async connect(port: number, options: AbortOptions = {}): Promise<TunnelConnection> {
    const { signal } = options;
    return new TunnelConnection(
      await call(this.#connection, signal, () => connectPort(this.#connection, { port }, { signal })),
    );
  }
}

/** One TCP connection into the sandbox. */
export class TunnelConnection implements AsyncDisposable {
  readonly #connection: PortConnection;
  readonly #bytes: AsyncIterableIterator<Uint8Array>;

  constructor(connection: PortConnection) {
    this.#connection = connection;
    this.#bytes = translatedSequence(connection.bytes);
  }

  /** Pieces in order, once; ends when the other side has sent its last byte. */
  get bytes(): AsyncIterableIterator<Uint8Array> {
    return this.#bytes;
  }

  get readable(): ReadableStream<Uint8Array> {
    return readableStream(this.#bytes);
  }

  get writable(): WritableStream<Uint8Array> {
    return writableStream({
      write: (bytes) => this.write(bytes),
      end: () => this.end(),
      abort: () => this.close(),
    });
  }

  /** Settles when the bytes are on their way. */
  write(bytes: Uint8Array): Promise<void> {
    return translated(this.#connection.write(bytes));
  }

  /** Says that nothing more is written; the other direction goes on. */
  end(): void {
    this.#connection.end();
  }

  /** Settles when both directions have ended; rejects with `connection_reset`, or with what else ended it. */
  get closed(): Promise<void> {
    return translated(this.#connection.closed);
  }

  /** Resets it. */
  close(): void {
    this.#connection.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }
}
