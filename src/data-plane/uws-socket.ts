import type { WebSocket } from 'uWebSockets.js';
import type { Clock } from '../domain/clock.ts';
import { closeReason, type DataSocket, type DataSocketHandler } from './data-socket.ts';
import { Heartbeat } from './heartbeat.ts';
import type { DataPlaneObserver } from './observer.ts';
import type { SendQueues } from './send-queues.ts';
import type { Admission } from './socket-door.ts';
import { closeOverloaded, overloadedReason } from './ws-socket.ts';

/**
 * DataSocket over uWebSockets.js. The native object may not be touched once it is closed, so everything goes through
 * `#closedWith`, which its close handler sets. `send` copies what it cannot write at once.
 */
export class UwsSocket implements DataSocket {
  readonly #ws: WebSocket<UwsUserData>;
  readonly #deps: UwsSocketDeps;
  readonly #messageBytesMax: number;
  readonly #heartbeat: Heartbeat;
  readonly #handler: DataSocketHandler | null;
  #queuedBytes = 0;
  #closedWith: number | null = null;

  constructor(ws: WebSocket<UwsUserData>, admission: Admission, deps: UwsSocketDeps) {
    this.#ws = ws;
    this.#deps = deps;
    this.#messageBytesMax = admission.messageBytesMax;
    this.#heartbeat = new Heartbeat(deps.clock, {
      pingMs: deps.pingMs,
      ping: () => void ws.ping(),
      cut: () => this.terminate(),
    });
    this.#handler = null;
    this.#handler = admission.open(this);
    // Closed from within: the one who did it could not be told before he was known.
    if (this.#closedWith !== null) this.#handler.onClose(this.#closedWith);
  }

  get bufferedBytes(): number {
    return this.#closedWith === null ? this.#ws.getBufferedAmount() : 0;
  }

  send(message: Uint8Array): void {
    if (this.#closedWith !== null) return;
    if (!this.#deps.queues.hasRoom(this.#queuedBytes, message.length)) {
      this.close(closeOverloaded, overloadedReason);
      return;
    }
    this.#deps.observer.sent(message.length);
    const outcome = this.#ws.send(message, true, false);
    if (outcome === sent) return;
    // Lost data: the addon has closed the socket, or is about to.
    if (outcome === dropped) this.terminate();
    else this.#noteQueue();
  }

  cork(sends: () => void): void {
    if (this.#closedWith === null) this.#ws.cork(sends);
  }

  close(code: number, reason: string): void {
    if (this.#closedWith !== null) return;
    this.#closing(code);
    this.#ws.end(code, closeReason(reason));
  }

  terminate(): void {
    if (this.#closedWith !== null) return;
    this.#closing(1006);
    this.#ws.close();
  }

  /** The four below are the addon's to call. */
  onMessage(message: ArrayBuffer, isBinary: boolean): void {
    if (this.#closedWith !== null) return;
    this.#heartbeat.heard();
    this.#deps.observer.received(message.byteLength);
    if (message.byteLength > this.#messageBytesMax) this.close(closeTooBig, 'the message is over the limit');
    else this.#handler?.onMessage(new Uint8Array(message), isBinary);
    // The drain event may fail to come; every message is another chance to look.
    if (this.#queuedBytes > 0) this.onDrain();
  }

  onDrain(): void {
    if (this.#closedWith !== null) return;
    this.#noteQueue();
    this.#handler?.onDrain();
  }

  onPong(): void {
    this.#heartbeat.heard();
  }

  onClosed(code: number): void {
    this.#closing(code);
  }

  #noteQueue(): void {
    const queuedBytes = this.#ws.getBufferedAmount();
    this.#deps.queues.changed(this.#queuedBytes, queuedBytes);
    this.#queuedBytes = queuedBytes;
  }

  #closing(code: number): void {
    if (this.#closedWith !== null) return;
    this.#closedWith = code;
    this.#heartbeat.stop();
    this.#deps.queues.changed(this.#queuedBytes, 0);
    this.#handler?.onClose(code);
  }
}

/** The addon copies its properties into an object of its own. */
export interface UwsUserData {
  readonly connection: UwsConnection;
}

export interface UwsConnection {
  /** null: not open yet, or closed. */
  ws: WebSocket<UwsUserData> | null;
  socket: UwsSocket | null;
}

export interface UwsSocketDeps {
  readonly clock: Clock;
  readonly observer: DataPlaneObserver;
  readonly queues: SendQueues;
  readonly pingMs: number;
}

/** What `send` of the addon answers; 0 means that it waits in the queue. */
const sent = 1;
const dropped = 2;
const closeTooBig = 1009;
