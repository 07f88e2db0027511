import { type Frame, headerBytes, writeHeader } from './frame.ts';
import { payloadBytesMax } from './limits.ts';

/**
 * The wrapping of a frame on a byte stream (protocol/README.md, section 1.1): magic and length in front, a trailer
 * behind. The trailer is what makes a half frame of a dead writer recognisable once zero bytes have completed it.
 */
export const linkMagic = 0x57504c31;
export const linkTrailer = 0x314c5057;
/** Where the frame's own header begins: behind magic and length. */
export const linkHeaderOffset = 8;
export const linkHeaderBytes = linkHeaderOffset + headerBytes;
export const linkTrailerBytes = 4;
export const linkOverheadBytes = linkHeaderBytes + linkTrailerBytes;
/** As many zero bytes complete and so invalidate any half frame. */
export const resyncPaddingBytes = linkOverheadBytes + payloadBytesMax;

/** Writes the wrapped frame and gives back the offset behind it. The caller has made room and checked the length. */
export function writeLinkFrame(target: Uint8Array, view: DataView, offset: number, frame: Frame): number {
  const { payload } = frame;
  view.setUint32(offset, linkMagic);
  view.setUint32(offset + 4, payload.length);
  writeHeader(view, offset + linkHeaderOffset, frame);
  target.set(payload, offset + linkHeaderBytes);
  const trailerOffset = offset + linkHeaderBytes + payload.length;
  view.setUint32(trailerOffset, linkTrailer);
  return trailerOffset + linkTrailerBytes;
}

/** The payload's length by the seventeen bytes at `offset`, or what is wrong with them. */
export function readLinkHeader(view: DataView, offset: number): number | string {
  if (view.getUint32(offset) !== linkMagic) return 'a frame does not begin with the magic';
  const length = view.getUint32(offset + 4);
  if (length > payloadBytesMax)
    return `a frame says its payload has ${length} bytes, over ${payloadBytesMax}`;
  return length;
}
