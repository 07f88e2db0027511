import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';

/** Each may hold 1,000 streams; more clients than this want a load balancer and more processes anyway. */
const connectionsMax = 1_024;

/**
 * Owns the port and its sockets, and gives each connection to the gRPC server. grpc-js would listen by itself, but then
 * nothing can cut a socket whose peer is frozen: once asked to close gracefully, its session waits for that peer for
 * ever, and the process with it (D20).
 */
export class Listener {
  readonly port: number;
  readonly #server: Server;
  readonly #sockets: ReadonlySet<Socket>;
  readonly #closed: Promise<void>;

  static async open(host: string, port: number, accept: (socket: Socket) => void): Promise<Listener> {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket));
      // A connection that breaks is over; whoever used it is told by its calls.
      socket.on('error', () => {});
      accept(socket);
    });
    server.maxConnections = connectionsMax;
    server.listen({ host, port });
    await once(server, 'listening');
    return new Listener(server, sockets);
  }

  private constructor(server: Server, sockets: ReadonlySet<Socket>) {
    const address = server.address();
    this.port = typeof address === 'object' && address !== null ? address.port : 0;
    this.#server = server;
    this.#sockets = sockets;
    // A connection that cannot be accepted (no descriptors left) is lost; the next one may do.
    server.on('error', () => {});
    this.#closed = new Promise((resolve) => server.once('close', resolve));
  }

  /** No new connections from now on. */
  stop(): void {
    this.#server.close();
  }

  /** Cuts what is left. Settles when the port is free and every socket is gone. */
  async destroy(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await this.#closed;
  }
}
