import { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

/** Takes what was read. The bytes are lent: the next read overwrites them. */
export type LentBytes = (bytes: Uint8Array) => void;

/**
 * The same connection as another socket, which reads into one buffer instead of emitting `data`: bulk output then costs no
 * allocation for each read, nobody has to collect what was allocated, and the bytes are still in the processor's cache when
 * they are sent on. All connections share the buffer, because what a read brought has been taken when `onBytes` returns.
 *
 * The socket given is only a shell afterwards; listeners and writes are for the one given back. That is the same one where
 * it cannot be done (TLS, a Node.js without these insides): its bytes are lent then too, they only are not reused.
 *
 * Turned down: connecting with `onread` in the first place, which is public. These sockets are made by `spawn` and by the
 * engine's client, and come with their handle.
 */
export function readLent(socket: Socket, onBytes: LentBytes): Socket {
  const shell = socket as unknown as { _handle: Handle | null };
  const handle = shell._handle;
  if (socket instanceof TLSSocket || typeof handle?.useUserBuffer !== 'function') {
    socket.on('data', onBytes);
    return socket;
  }
  socket.pause();
  // An end that the shell has met already is met again by whoever begins to read.
  handle.readStop();
  handle.reading = false;
  for (let early = socket.read(); early !== null; early = socket.read()) onBytes(early);
  shell._handle = null;
  socket.destroy();
  const onread = {
    buffer: shared,
    callback: (length: number) => {
      onBytes(shared.subarray(0, length));
      return true;
    },
  };
  const options = { handle, onread, allowHalfOpen: socket.allowHalfOpen };
  const reading = new Socket(options as ConstructorParameters<typeof Socket>[0]);
  // So that its end is told.
  reading.resume();
  return reading;
}

interface Handle {
  readonly useUserBuffer?: unknown;
  reading: boolean;
  readStop(): void;
}

/** A few of the largest frames: more would leave the processor's second cache. */
const sharedBytes = 262_144;
const shared = Buffer.allocUnsafeSlow(sharedBytes);
