import type { DataSocket } from './data-socket.ts';

/**
 * What leaves for one client, in order. Small messages of one turn of the event loop travel together: a chunk from the guest
 * holds many of them, and each sent alone would be a system call and a packet of its own. They are copied for that. A large
 * one is worth its call, and goes from where it lies.
 */
export class Outgoing {
  readonly #socket: DataSocket;
  #waiting: Uint8Array[] = [];

  constructor(socket: DataSocket) {
    this.#socket = socket;
  }

  /** The bytes are the caller's again when this returns. */
  send(message: Uint8Array): void {
    if (message.length >= largeBytes) {
      this.flush();
      this.#socket.send(message);
      return;
    }
    this.#waiting.push(new Uint8Array(message));
    if (this.#waiting.length === 1) queueMicrotask(() => this.flush());
  }

  flush(): void {
    const waiting = this.#waiting;
    if (waiting.length === 0) return;
    this.#waiting = [];
    const [first] = waiting;
    if (waiting.length === 1 && first) this.#socket.send(first);
    else {
      this.#socket.cork(() => {
        for (const message of waiting) this.#socket.send(message);
      });
    }
  }
}

/** From here on uWebSockets.js writes a message straight from its place instead of gathering it with others. */
const largeBytes = 16_384;
