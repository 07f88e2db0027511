import type { Frame } from './frame.ts';

/**
 * The requester's end of a wire, as everything above it sees it: the node's link to a guest (GuestLink) and the client's
 * socket to a node implement it alike, so what reads a file or runs a process over it is written once (src/operations).
 */
export interface ChannelOpener {
  /** Settles, never rejects, when the wire is lost or closed, with a sentence that says why. */
  readonly closed: Promise<string>;
  /** Input that each channel may have on the way, where the other end says so once for all of them. */
  readonly inputWindowBytes?: number;
  /**
   * Opens a channel with a request of protocol/README.md section 4 (`new` in the table). The frame is sent before this
   * returns; the answer goes to the receiver. Throws when the wire is closed or has no free channel.
   */
  open(type: number, payload: Uint8Array, receiver: ChannelReceiver, options?: OpenOptions): RequesterChannel;
  /** Asks on channel 0. Settles with the payload of the Ack; rejects with a ResponderError, or an error when the wire is lost. */
  request(type: number, payload: Uint8Array): Promise<Uint8Array>;
}

export interface OpenOptions {
  /** The output window that the request's payload names; absent: the wire's own. */
  readonly windowBytes?: number;
}

export interface ChannelReceiver {
  /**
   * True for one that has done with a frame when `onFrame` returns. It is lent the frame where it lies, payload and message
   * alike, and may write over them; everybody else gets bytes to keep.
   */
  readonly takesLent?: boolean;
  /**
   * Every frame of the channel, in order: Ack first, a terminal frame last (`isTerminal`), Credit for input among them.
   * Checked before: type, direction, size, order, and output credit. Payloads may be kept; `frame.payload` may be a part
   * of a larger buffer.
   */
  onFrame(frame: Frame): void;
  /** The wire was lost before a terminal frame. Nothing follows. */
  onLost(error: Error): void;
}

export interface RequesterChannel {
  readonly number: number;
  /** Bytes of Input that may be sent now: the initial window once the Ack came, plus grants, minus what was sent. */
  readonly inputCredit: number;
  /** The output window of this channel, in bytes; from the Ack on what the responder has lowered it to. */
  readonly outputWindow: number;
  /**
   * Input (within `inputCredit`), InputEof, ExecSignal, ExecResize, Credit. The payload is given away: it may leave later
   * and is not copied before. After `close` and the terminal frame: does nothing.
   */
  send(type: number, payload: Uint8Array): void;
  /** Input that is the caller's again when this returns. Absent where that would need a copy: make one, and `send` it. */
  sendLent?(payload: Uint8Array): void;
  /** ChannelClose, once. The receiver still gets the terminal frame. */
  close(): void;
}

/** An Error frame, as a failure. Its code is one of section 9. */
export class ResponderError extends Error {
  override readonly name = 'ResponderError';
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}
