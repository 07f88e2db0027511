import { WebSocket } from 'ws';
import type { Clock } from '../../domain/clock.ts';
import type { XgenSocket } from './xgen-socket.ts';

/** Who hears of what a client sends. */
export interface XgenListener {
  onMessage(message: Uint8Array): void;
  onText(): void;
  /** Once, whoever closed it: the code of the close frame, 1006 for none. */
  onClose(code: number): void;
}

/**
 * A WebSocket of `ws` as a session sees it, with pings: a client that has answered none of two is cut. While the session
 * does not read the client, its pongs are not read either, so nothing is held against it then.
 */
export class XgenWebSocket implements XgenSocket {
  readonly #socket: WebSocket;
  readonly #clock: Pick<Clock, 'after'>;
  #unanswered = 0;
  #cancelPing: () => void;

  constructor(socket: WebSocket, clock: Pick<Clock, 'after'>) {
    this.#socket = socket;
    this.#clock = clock;
    socket.on('pong', () => {
      this.#unanswered = 0;
    });
    this.#cancelPing = clock.after(pingMs, () => this.#ping());
    socket.on('close', () => this.#cancelPing());
    // What ws refuses (a message that is too large, a broken frame) it closes by itself, with the right code.
    socket.on('error', () => {});
  }

  listen(listener: XgenListener): void {
    this.#socket.on('message', (data, isBinary) => {
      if (!isBinary) listener.onText();
      else if (data instanceof Uint8Array) listener.onMessage(data);
    });
    this.#socket.on('close', (code) => listener.onClose(code));
  }

  send(message: Uint8Array, sent: () => void): void {
    this.#socket.send(message, { binary: true, compress: false }, () => sent());
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#unanswered = 0;
    this.#socket.resume();
  }

  close(code: number, reason: string): void {
    this.#socket.close(code, reason);
    // A client that does not read does not answer the close either.
    const cut = setTimeout(() => this.#socket.terminate(), closeMsMax);
    this.#socket.on('close', () => clearTimeout(cut));
    // Otherwise its own close would stay unread.
    this.#socket.resume();
  }

  #ping(): void {
    this.#cancelPing = this.#clock.after(pingMs, () => this.#ping());
    if (this.#socket.isPaused) return;
    if (this.#unanswered >= unansweredMax) {
      this.#socket.terminate();
      return;
    }
    this.#unanswered += 1;
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.ping();
  }
}

const pingMs = 20_000;
const unansweredMax = 2;
const closeMsMax = 5_000;
