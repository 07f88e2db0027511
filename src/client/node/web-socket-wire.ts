import type { Duplex } from 'node:stream';
import { headerBytes } from '../../../protocol/frame.ts';
import { payloadBytesMax } from '../../../protocol/limits.ts';
import type { ClientSocket, SocketEvents } from '../dial.ts';
import { maskInto, takeRandom } from './frame-mask.ts';
import { finalBit, MessageReader, opcodes } from './message-reader.ts';

/**
 * The frames of one WebSocket over a connection whose upgrade is done (RFC 6455, the client's end). It owns the connection from
 * then on, and ends it.
 *
 *   open ──close()──▶ closing ──the server's close, goodbye over, loss──▶ over
 *     └──the server's close (answered), a broken rule, abort(), loss──▶ over
 *
 * Invariants: `onClose` once, and nothing is delivered behind it; no message leaves behind a close; what is sent is masked
 * on its way into memory of ours, so the caller's bytes are untouched and free at once.
 *
 * Turned down: a client of the package `ws`. It upgrades by Node's HTTP client and frames by streams of its own, and for a
 * connection that carries one command, what their code costs before it is compiled was a third of all that the client did.
 */
export class WebSocketWire implements ClientSocket {
  readonly #connection: Duplex;
  readonly #events: SocketEvents;
  readonly #reader: MessageReader;
  #state: 'open' | 'closing' | 'over' = 'open';
  #goodbye: NodeJS.Timeout | undefined;

  constructor(connection: Duplex, events: SocketEvents) {
    this.#connection = connection;
    this.#events = events;
    const sink = {
      onMessage: (message: Buffer, isText: boolean) => {
        if (this.#state !== 'over') events.onMessage(isText ? message.toString() : message);
      },
      onPing: (payload: Uint8Array) => this.#write(opcodes.pong, payload, nothing),
      onClose: (code: number, reason: string) => this.#closed(code, reason),
    };
    this.#reader = new MessageReader(sink, messageBytesMax);
  }

  /** What came over the connection. The bytes are the caller's again when this returns. */
  read(bytes: Uint8Array): void {
    const broken = this.#reader.push(bytes);
    if (broken === null || this.#state === 'over') return;
    this.close(broken.code, broken.sentence);
    this.#over(lost, broken.sentence);
  }

  /** The connection is gone. */
  lost(): void {
    clearTimeout(this.#goodbye);
    this.#over(lost, '');
  }

  send(message: Uint8Array): void {
    this.#write(opcodes.binary, message, nothing);
  }

  sendFrame(header: Uint8Array, payload: Uint8Array): void {
    this.#write(opcodes.binary, header, payload);
  }

  close(code: number, reason: string): void {
    if (this.#state !== 'open') return;
    this.#sendClose(code, reason);
    this.#state = 'closing';
  }

  abort(): void {
    this.#connection.destroy();
  }

  #closed(code: number, reason: string): void {
    if (this.#state === 'open') this.#sendClose(code === noCode ? normal : code, '');
    this.#connection.end();
    this.#over(code, reason);
  }

  /** A server that neither answers nor hangs up holds the process up for no longer than this. */
  #sendClose(code: number, reason: string): void {
    const body = Buffer.from(`..${reason}`).subarray(0, controlBytesMax);
    body.writeUInt16BE(code);
    this.#write(opcodes.close, body, nothing);
    this.#goodbye = setTimeout(() => this.#connection.destroy(), goodbyeMsMax);
  }

  #over(code: number, reason: string): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#events.onClose(code, reason);
  }

  /** One message in two parts, so that nobody has to put them together before they are masked. */
  #write(opcode: number, first: Uint8Array, second: Uint8Array): void {
    if (this.#state !== 'open' || !this.#connection.writable) return;
    const length = first.length + second.length;
    const bodyAt = headLength(length) + maskBytes;
    const frame = takeRoom(bodyAt + length);
    frame[0] = finalBit | opcode;
    writeLength(frame, length);
    const mask = takeRandom(maskBytes);
    mask.copy(frame, bodyAt - maskBytes);
    maskInto(frame, bodyAt, first, mask);
    maskInto(frame, bodyAt + first.length, second, mask, first.length);
    this.#connection.write(frame);
    // What the kernel has taken at once is free again; what waits in the stream is the stream's.
    if (this.#connection.writableLength === 0) giveBack(frame);
  }
}

function headLength(length: number): number {
  return length < 126 ? 2 : length <= 0xffff ? 4 : 10;
}

function writeLength(frame: Buffer, length: number): void {
  if (length < 126) frame[1] = maskedBit | length;
  else if (length <= 0xffff) {
    frame[1] = maskedBit | 126;
    frame.writeUInt16BE(length, 2);
  } else {
    frame[1] = maskedBit | 127;
    frame.writeBigUInt64BE(BigInt(length), 2);
  }
}

/** Large frames are put together in one room over and over, while the kernel takes them as fast as they come. */
function takeRoom(byteCount: number): Buffer {
  if (byteCount < largeBytes) return Buffer.allocUnsafe(byteCount);
  if (room === null || room.length < byteCount)
    return Buffer.allocUnsafeSlow(Math.max(byteCount, roomBytes)).subarray(0, byteCount);
  const taken = room.subarray(0, byteCount);
  room = null;
  return taken;
}

function giveBack(frame: Buffer): void {
  if (frame.length >= largeBytes && frame.buffer.byteLength >= roomBytes) room = Buffer.from(frame.buffer);
}

/** A frame of the largest payload; a node that sends more breaks the protocol. */
const messageBytesMax = headerBytes + payloadBytesMax;
const maskedBit = 0x80;
const maskBytes = 4;
const controlBytesMax = 125;
const roomBytes = 10 + maskBytes + messageBytesMax;
const largeBytes = 4_096;
let room: Buffer | null = null;
const nothing = new Uint8Array(0);
const normal = 1000;
const noCode = 1005;
/** No close frame came. */
const lost = 1006;
const goodbyeMsMax = 1_000;
