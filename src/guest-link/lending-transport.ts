import type { Duplex } from 'node:stream';

/** A transport that can hand over what it reads where it lies, valid only during the call, instead of emitting `data`. */
export interface LendingTransport extends Duplex {
  lend(onBytes: (bytes: Uint8Array) => void): void;
}

export function lends(transport: Duplex): transport is LendingTransport {
  return 'lend' in transport;
}
