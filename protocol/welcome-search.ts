import { type Frame, readFrame, viewOf } from './frame.ts';
import {
  linkHeaderBytes,
  linkHeaderOffset,
  linkMagic,
  linkOverheadBytes,
  linkTrailer,
  readLinkHeader,
} from './link-framing.ts';
import { brokenRule, messageTypes } from './message-types.ts';
import { parseWelcome, type Welcome } from './session-messages.ts';

/**
 * Finds the beginning of our epoch in a stream that may begin anywhere and hold anything (protocol/README.md, section
 * 1.1, node side): everything is discarded until a well-formed Welcome repeats the nonce of our Hello. Nobody who does
 * not read our Hello can write that, so a stale frame or a process's output cannot be taken for it.
 *
 * A wrong candidate costs only its first byte: the search goes on right behind it, so a magic that happens to stand in
 * front of the true Welcome does not swallow it. It owns at most one unfinished candidate, 1,045 bytes.
 */
export class WelcomeSearch {
  readonly #nonce: Uint8Array;
  #candidate: Uint8Array = new Uint8Array(0);

  constructor(nonce: Uint8Array) {
    this.#nonce = nonce;
  }

  /** The Welcome and the bytes behind it, which belong to a LinkDecoder; null when it has not come yet. */
  push(chunk: Uint8Array): { readonly welcome: Welcome; readonly rest: Uint8Array } | null {
    const bytes = this.#candidate.length === 0 ? chunk : joined(this.#candidate, chunk);
    const view = viewOf(bytes);
    let offset = bytes.indexOf(firstMagicByte);
    while (offset >= 0) {
      const found = frameAt(bytes, view, offset);
      if (found === 'unfinished') break;
      if (found !== 'none') {
        const welcome = parseWelcome(found.payload);
        if ('value' in welcome && sameBytes(welcome.value.nonce, this.#nonce)) {
          this.#candidate = new Uint8Array(0);
          const rest = bytes.subarray(offset + linkOverheadBytes + found.payload.length);
          return { welcome: welcome.value, rest };
        }
      }
      offset = bytes.indexOf(firstMagicByte, offset + 1);
    }
    this.#candidate = offset < 0 ? new Uint8Array(0) : new Uint8Array(bytes.subarray(offset));
    return null;
  }
}

/** The frame at `offset` if it may be a Welcome; cheap refusals first, so that a hostile stream costs a few reads a byte. */
function frameAt(bytes: Uint8Array, view: DataView, offset: number): Frame | 'none' | 'unfinished' {
  const available = bytes.length - offset;
  for (let index = 0; index < Math.min(4, available); index += 1) {
    if (bytes[offset + index] !== magicBytes[index]) return 'none';
  }
  if (available < linkHeaderBytes) return 'unfinished';
  const length = readLinkHeader(view, offset);
  if (typeof length === 'string' || length > messageTypes.Welcome.payloadBytesMax) return 'none';
  if (bytes[offset + linkHeaderOffset] !== messageTypes.Welcome.code) return 'none';
  if (available < linkOverheadBytes + length) return 'unfinished';
  const payloadOffset = offset + linkHeaderBytes;
  if (view.getUint32(payloadOffset + length) !== linkTrailer) return 'none';
  const message = bytes.subarray(offset + linkHeaderOffset, payloadOffset + length);
  const frame = readFrame(view, offset + linkHeaderOffset, message);
  return brokenRule(frame, 'responder', 'link') === undefined ? frame : 'none';
}

const magicBytes = [24, 16, 8, 0].map((shift) => (linkMagic >>> shift) & 0xff);
const firstMagicByte = linkMagic >>> 24;

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}

/** Not constant in time: the nonce tells epochs apart, it is no secret from the guest that was sent it. */
export function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, index) => byte === right[index]);
}
