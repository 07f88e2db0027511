import { randomFillSync } from 'node:crypto';
import { createRequire } from 'node:module';

/**
 * The masks of RFC 6455, 5.3: what a client sends is XORed with four random bytes, so that no page can write a request of its
 * choice into a proxy's cache. Random bytes are asked for in advance: each time anew they cost 2.5 µs a message, from this
 * store 0.15.
 */
export function takeRandom(byteCount: number): Buffer {
  if (storeAt + byteCount > store.length) {
    randomFillSync(store);
    storeAt = 0;
  }
  const taken = Buffer.from(store.subarray(storeAt, storeAt + byteCount));
  storeAt += byteCount;
  return taken;
}

/** Writes `source`, masked, to `at` of `target`; `skipped` bytes of its message went before it. */
export function maskInto(target: Buffer, at: number, source: Uint8Array, mask: Buffer, skipped = 0): void {
  if (source.length < nativeFromBytes) {
    for (let index = 0; index < source.length; index += 1) {
      target[at + index] = (source[index] ?? 0) ^ (mask[(index + skipped) & 3] ?? 0);
    }
    return;
  }
  const turned =
    (skipped & 3) === 0 ? mask : Buffer.from([0, 1, 2, 3].map((each) => mask[(each + skipped) & 3] ?? 0));
  native.mask(source, turned, target, at, source.length);
}

const store = Buffer.alloc(4_096);
let storeAt = store.length;

/** Below it the call into the addon costs more than the loop. */
const nativeFromBytes = 48;

/** It comes with a JavaScript loop of its own for where its addon does not load. */
const native = createRequire(import.meta.url)('bufferutil') as {
  mask(source: Uint8Array, mask: Uint8Array, output: Uint8Array, offset: number, length: number): void;
};
