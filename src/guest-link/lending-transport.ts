import type { Duplex } from 'node:stream';

/** A transport that can hand over what it reads where it lies, valid only during the call, instead of emitting `data`. */
export interface LendingTransport extends Duplex {
  lend(onBytes: (bytes: Uint8Array) => void): void;
}

export function lends(transport: Duplex): transport is LendingTransport {
  return 'lend' in transport;
}

/**
 * Whether the callback of a write says that its bytes have left, so that their memory may be used again. Not every stream's
 * does: one that hands on to a socket may settle as soon as that has room.
 */
export function settlesWritten(transport: Duplex): boolean {
  return 'settlesWritten' in transport && transport.settlesWritten === true;
}
