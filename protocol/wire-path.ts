import { pathBytesMax } from './limits.ts';

/**
 * A name of the sandbox's file system. Linux names are bytes: one that is valid UTF-8 is text here, any other keeps its
 * bytes, so that every file can be listed, read and removed. The text form is the only form of a name that has one.
 */
export type WirePath = string | Uint8Array;

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

/** The one form of these bytes; a copy where they stay bytes. */
export function pathOfBytes(bytes: Uint8Array): WirePath {
  try {
    return decoder.decode(bytes);
  } catch {
    return new Uint8Array(bytes);
  }
}

export function bytesOfPath(path: WirePath): Uint8Array {
  return typeof path === 'string' ? encoder.encode(path) : path;
}

/** For people: bytes that are no text are shown as U+FFFD. */
export function shownPath(path: WirePath): string {
  return typeof path === 'string' ? path : new TextDecoder().decode(path);
}

/** What no path may be, or undefined. `emptyAllowed` for the place itself, in a watch. */
export function brokenPath(path: WirePath, emptyAllowed = false): string | undefined {
  if (path.length === 0) return emptyAllowed ? undefined : 'empty';
  if (typeof path === 'string') {
    if (path.includes('\0')) return 'holds a NUL';
    if (loneSurrogate.test(path)) return 'not valid Unicode';
    return path.length * 3 <= pathBytesMax || encoder.encode(path).length <= pathBytesMax
      ? undefined
      : tooLong;
  }
  if (path.includes(0)) return 'holds a NUL';
  return path.length <= pathBytesMax ? undefined : tooLong;
}

/** Half a surrogate pair, which UTF-8 cannot say. */
export const loneSurrogate = /\p{Surrogate}/u;

const tooLong = `longer than ${pathBytesMax} bytes`;
