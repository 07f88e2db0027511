/**
 * How a connection gets its WebSocket: the one thing that differs between a browser (dial-browser.ts) and Node
 * (node/dial-node.ts). Everything above is the same file in both.
 */
export type Dial = (target: DialTarget, events: SocketEvents, signal: AbortSignal) => Promise<ClientSocket>;

export interface DialTarget {
  /** `ws://…` or `wss://…`, as `ws_url` of a created sandbox has it. */
  readonly url: string;
  /** A data token, or in Node an API key. Absent for a node without authentication. */
  readonly credential?: string;
}

export interface ClientSocket {
  /** One binary message. The bytes may be used again when this returns. */
  send(message: Uint8Array): void;
  /** The same of two parts, for a socket that copies what it sends anyway. */
  sendFrame?(header: Uint8Array, payload: Uint8Array): void;
  /** Says goodbye and waits for the answer, but not for long. */
  close(code: number, reason: string): void;
  /** Ends it at once: the other side is not expected to answer any more. */
  abort(): void;
}

/** May be called as soon as the socket is open, even before the promise of `Dial` has settled. */
export interface SocketEvents {
  /** The bytes are the receiver's. Text is a string. */
  onMessage(message: Uint8Array | string): void;
  /** Once, after the promise of `Dial` was fulfilled. 1006: there was no goodbye. */
  onClose(code: number, reason: string): void;
}

export const subprotocol = 'warmpool.v1';
/** Browsers cannot set headers; the server answers with `warmpool.v1` and never with this one. */
export const tokenSubprotocolPrefix = 'warmpool.token.';
