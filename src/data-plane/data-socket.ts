/**
 * One open WebSocket, as the sessions above it see it. Two adapters pass one contract suite: uWebSockets.js on the data
 * port, and `ws` for upgrades on the HTTP port and where the native addon does not load.
 *
 *   open ──close, terminate, the client's close, loss, unanswered pings, a full queue──▶ closed
 *
 * Nothing is dropped while it is open: what the client does not read waits in a queue with a bound, and a client that
 * lets it run full is closed with 1013. Once closed, calls do nothing and the handler is told nothing any more but
 * `onClose`, once.
 */
export interface DataSocket {
  /** Waiting to be read by the client, WebSocket headers included. */
  readonly bufferedBytes: number;
  /** One binary message. The bytes are the caller's again when this returns. */
  send(message: Uint8Array): void;
  /** What is sent inside leaves in one system call where that is possible. */
  cork(sends: () => void): void;
  /** After what was sent before. A reason over 123 bytes of UTF-8 is cut. */
  close(code: number, reason: string): void;
  /** Without a close frame: the client sees 1006. */
  terminate(): void;
}

/** What happens on a socket. Neither may throw. */
export interface DataSocketHandler {
  /** The bytes are valid only during the call: the transport reuses them. */
  onMessage(message: Uint8Array, isBinary: boolean): void;
  /** Bytes have left the queue; look at `bufferedBytes`. */
  onDrain(): void;
  /** By whichever side: the code of the close frame, 1005 for one without a code, 1006 for none. */
  onClose(code: number): void;
}

/** RFC 6455: a control frame holds 125 bytes, and the code takes two of them. */
export const closeReasonBytesMax = 123;

/** The longest beginning of the sentence that fits a close frame and ends between two characters. */
export function closeReason(sentence: string): string {
  const bytes = Buffer.from(sentence);
  if (bytes.length <= closeReasonBytesMax) return sentence;
  let end = closeReasonBytesMax;
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return bytes.toString('utf8', 0, end);
}
