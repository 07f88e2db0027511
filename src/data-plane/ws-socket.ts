import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import type { Clock } from '../domain/clock.ts';
import { closeReason, type DataSocket, type DataSocketHandler } from './data-socket.ts';
import { Heartbeat } from './heartbeat.ts';
import type { DataPlaneObserver } from './observer.ts';
import type { SendQueues } from './send-queues.ts';
import type { Admission } from './socket-door.ts';

/**
 * DataSocket over the package `ws`. It owns the WebSocket and its raw connection from the upgrade on, and ends both.
 * `ws` neither bounds its queue nor pings by itself, and its `close` waits long for the peer: all three are done here.
 */
export class WsSocket implements DataSocket {
  readonly #ws: WebSocket;
  readonly #raw: Duplex;
  readonly #deps: WsSocketDeps;
  readonly #heartbeat: Heartbeat;
  readonly #handler: DataSocketHandler | null;
  #queuedBytes = 0;
  #closedWith: number | null = null;

  constructor(ws: WebSocket, raw: Duplex, admission: Admission, deps: WsSocketDeps) {
    this.#ws = ws;
    this.#raw = raw;
    this.#deps = deps;
    // First of all: one bad frame from the client is otherwise an uncaught exception. The close event follows it.
    ws.on('error', () => {});
    ws.on('message', (data, isBinary) => this.#onMessage(data, isBinary));
    ws.on('pong', () => this.#heartbeat.heard());
    ws.on('ping', () => this.#heartbeat.heard());
    ws.on('close', (code) => this.#closed(code));
    raw.on('drain', () => this.#onDrain());
    this.#heartbeat = new Heartbeat(deps.clock, {
      pingMs: deps.pingMs,
      ping: () => ws.ping(),
      cut: () => this.terminate(),
    });
    this.#handler = null;
    this.#handler = admission.open(this);
    // Closed from within: the one who did it could not be told before he was known.
    if (this.#closedWith !== null) this.#handler.onClose(this.#closedWith);
  }

  get bufferedBytes(): number {
    return this.#closedWith === null ? this.#ws.bufferedAmount : 0;
  }

  send(message: Uint8Array): void {
    if (this.#closedWith !== null) return;
    if (!this.#deps.queues.hasRoom(this.#ws.bufferedAmount, message.length)) {
      this.close(closeOverloaded, overloadedReason);
      return;
    }
    this.#deps.observer.sent(message.length);
    // The package keeps what the connection does not take at once.
    this.#ws.send(new Uint8Array(message), { binary: true, compress: false });
    this.#noteQueue();
  }

  cork(sends: () => void): void {
    this.#raw.cork();
    try {
      sends();
    } finally {
      this.#raw.uncork();
    }
  }

  close(code: number, reason: string): void {
    if (this.#closedWith !== null) return;
    this.#ws.close(code, closeReason(reason));
    // A client that does not answer the close frame holds the connection no longer than this.
    const cancel = this.#deps.clock.after(closeTimeoutMs, () => this.#ws.terminate());
    this.#ws.once('close', cancel);
    this.#closed(code);
  }

  terminate(): void {
    if (this.#closedWith !== null) return;
    this.#ws.terminate();
    this.#closed(1006);
  }

  #onMessage(data: unknown, isBinary: boolean): void {
    if (this.#closedWith !== null || !(data instanceof Buffer)) return;
    this.#heartbeat.heard();
    this.#deps.observer.received(data.length);
    this.#handler?.onMessage(data, isBinary);
  }

  #onDrain(): void {
    if (this.#closedWith !== null) return;
    this.#noteQueue();
    this.#handler?.onDrain();
  }

  #noteQueue(): void {
    const queuedBytes = this.#ws.bufferedAmount;
    if (queuedBytes === this.#queuedBytes) return;
    this.#deps.queues.changed(this.#queuedBytes, queuedBytes);
    this.#queuedBytes = queuedBytes;
  }

  #closed(code: number): void {
    if (this.#closedWith !== null) return;
    this.#closedWith = code;
    this.#heartbeat.stop();
    this.#deps.queues.changed(this.#queuedBytes, 0);
    this.#handler?.onClose(code);
  }
}

export interface WsSocketDeps {
  readonly clock: Clock;
  readonly observer: DataPlaneObserver;
  readonly queues: SendQueues;
  readonly pingMs: number;
}

export const closeOverloaded = 1013;
export const overloadedReason = 'the client does not read what it asked for';
/** As long as a slow client may need for what it was sent before the close frame. */
const closeTimeoutMs = 10_000;
