import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';
import type { SandboxPorts } from '../sandbox-ports.ts';
import { TunnelStream } from './tunnel-stream.ts';

export interface ForwardOptions {
  /** Default: the same number as inside; 0: a free one. */
  readonly localPort?: number | undefined;
  /** Default 127.0.0.1: this machine only. */
  readonly host?: string | undefined;
  /** Closes it. */
  readonly signal?: AbortSignal | undefined;
  /** A connection that could not be made, or that broke. It is closed; the others go on. */
  readonly onError?: ((error: unknown) => void) | undefined;
}

/** A local port whose connections go to a port of the sandbox. Owns its server and the sockets that came in. */
export class PortForward implements AsyncDisposable {
  /** Settles when it is closed. */
  readonly closed: Promise<void>;
  readonly #ports: SandboxPorts;
  readonly #port: number;
  readonly #onError: (error: unknown) => void;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #address = { host: '', port: 0 };

  /** Rejects when the local port cannot be had. */
  static async open(ports: SandboxPorts, port: number, options: ForwardOptions = {}): Promise<PortForward> {
    const { localPort = port, host = '127.0.0.1', signal } = options;
    signal?.throwIfAborted();
    const forward = new PortForward(ports, port, options.onError ?? (() => {}));
    forward.#server.listen(localPort, host);
    await once(forward.#server, 'listening');
    const bound = forward.#server.address();
    forward.#address = { host, port: typeof bound === 'object' && bound !== null ? bound.port : localPort };
    const close = () => void forward.close();
    signal?.addEventListener('abort', close, { once: true });
    forward.closed.then(() => signal?.removeEventListener('abort', close));
    return forward;
  }

  private constructor(ports: SandboxPorts, port: number, onError: (error: unknown) => void) {
    this.#ports = ports;
    this.#port = port;
    this.#onError = onError;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => void this.#join(socket));
    this.closed = new Promise((resolve) => this.#server.once('close', () => resolve()));
  }

  get host(): string {
    return this.#address.host;
  }

  /** The local one. */
  get port(): number {
    return this.#address.port;
  }

  get connections(): number {
    return this.#sockets.size;
  }

  /** Connections that are open are cut. */
  async close(): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await this.closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #join(socket: Socket): Promise<void> {
    this.#sockets.add(socket);
    const gone = new AbortController();
    socket.on('error', () => {});
    socket.once('close', () => {
      this.#sockets.delete(socket);
      gone.abort();
    });
    try {
      const tunnel = new TunnelStream(await this.#ports.connect(this.#port, { signal: gone.signal }));
      await Promise.all([pipeline(socket, tunnel), pipeline(tunnel, socket)]);
    } catch (error) {
      // Whoever hung up in the middle knows it.
      if (!gone.signal.aborted) this.#onError(error);
      socket.resetAndDestroy();
    }
  }
}
