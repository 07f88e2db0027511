import type { DataSocket } from './data-socket.ts';

/**
 * What leaves for one client. Messages of one turn of the event loop travel together: a chunk from the guest holds many
 * small frames, and each sent alone would be a system call and a packet of its own.
 */
export class Outgoing {
  readonly #socket: DataSocket;
  #waiting: Uint8Array[] = [];

  constructor(socket: DataSocket) {
    this.#socket = socket;
  }

  /** The bytes are the socket's from now on. */
  send(message: Uint8Array): void {
    this.#waiting.push(message);
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
