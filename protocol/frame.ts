import type { ParseResult } from './parse-result.ts';

/**
 * The unit of both wires: a header of nine bytes (`u8 type | u32 channel | u32 id`, big-endian) and a payload. Where
 * the transport keeps message borders, a message is one frame and this file is all there is to it; on a byte stream
 * link-framing.ts wraps it.
 */
export interface Frame {
  readonly type: number;
  /** 0 is the control channel. */
  readonly channel: number;
  /** Correlates an answer with a request; 0 answers nothing. */
  readonly id: number;
  readonly payload: Uint8Array;
  /**
   * Header and payload in one piece, as a decoder gives them: a node rewrites channel and id in it and forwards it
   * without copying. The bytes belong to the receiver.
   */
  readonly message?: Uint8Array;
}

export const headerBytes = 9;
export const noPayload: Uint8Array = new Uint8Array(0);

export function writeHeader(view: DataView, offset: number, frame: Omit<Frame, 'payload'>): void {
  view.setUint8(offset, frame.type);
  view.setUint32(offset + 1, frame.channel);
  view.setUint32(offset + 5, frame.id);
}

/** The frame whose header is at `offset` of `view`, and whose header and payload are `message`: a view, not a copy. */
export function readFrame(view: DataView, offset: number, message: Uint8Array): Frame {
  return {
    type: view.getUint8(offset),
    channel: view.getUint32(offset + 1),
    id: view.getUint32(offset + 5),
    payload: message.subarray(headerBytes),
    message,
  };
}

/** One message of a transport with borders. The frame is a view on it: copy what outlives it. */
export function parseFrame(message: Uint8Array): ParseResult<Frame> {
  if (message.length < headerBytes) {
    return { error: `a frame of ${message.length} bytes is shorter than its header` };
  }
  return { value: readFrame(viewOf(message), 0, message) };
}

export function encodeFrame(frame: Frame): Uint8Array {
  const message = new Uint8Array(headerBytes + frame.payload.length);
  writeHeader(viewOf(message), 0, frame);
  message.set(frame.payload, headerBytes);
  return message;
}

/** The same into memory of the caller's, whose beginning it gives back. */
export function encodeFrameInto(room: Uint8Array, frame: Frame): Uint8Array {
  writeHeader(viewOf(room), 0, frame);
  room.set(frame.payload, headerBytes);
  return room.subarray(0, headerBytes + frame.payload.length);
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
