import { once } from 'node:events';
import { WebSocket } from 'ws';
import { ServerProcess } from '../server-process.ts';

/**
 * F4: a message of 64 bytes to a bare uWebSockets.js server in its own process and back, with the client that the
 * subjects use (`ws`). `connect` is the floor of a connection: TCP, upgrade, nothing else.
 */
export class SocketEcho implements AsyncDisposable {
  readonly #server: ServerProcess;
  readonly #socket: WebSocket;
  readonly #payload = new Uint8Array(64).fill(0x61);

  static async start(): Promise<SocketEcho> {
    const server = await ServerProcess.start(new URL('./socket-echo-server.ts', import.meta.url), {}, null);
    const socket = open(server.address);
    await once(socket, 'open');
    return new SocketEcho(server, socket);
  }

  private constructor(server: ServerProcess, socket: WebSocket) {
    this.#server = server;
    this.#socket = socket;
  }

  /** One round trip; milliseconds. */
  call(): Promise<number> {
    return new Promise((resolve) => {
      const startedMs = performance.now();
      this.#socket.once('message', () => resolve(performance.now() - startedMs));
      this.#socket.send(this.#payload);
    });
  }

  /** One connection from its first packet to the open event; milliseconds. It is closed outside the timing. */
  async connect(): Promise<number> {
    const startedMs = performance.now();
    const socket = open(this.#server.address);
    await once(socket, 'open');
    const tookMs = performance.now() - startedMs;
    socket.terminate();
    return tookMs;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.terminate();
    await this.#server[Symbol.asyncDispose]();
  }
}

function open(address: string): WebSocket {
  const socket = new WebSocket(`ws://${address}/`, { perMessageDeflate: false });
  socket.binaryType = 'nodebuffer';
  return socket;
}
