/**
 * Cuts a byte stream only between characters: clients decode each frame by itself, and half a character would become two
 * replacement signs. Holds back at most the three bytes of a sequence that has begun; whatever is not valid UTF-8 passes
 * through as it comes.
 */
export class WholeCharacters {
  #held: Uint8Array = noBytes;

  /** Whether bytes wait for the rest of their character. */
  get holds(): boolean {
    return this.#held.length > 0;
  }

  /** What may be sent now, in pieces of at most `bytesMax`. */
  push(bytes: Uint8Array, bytesMax: number): readonly Uint8Array[] {
    const all = this.#held.length === 0 ? bytes : Buffer.concat([this.#held, bytes]);
    const end = all.length - unfinishedBytes(all);
    this.#held = all.subarray(end);
    return piecesOf(all.subarray(0, end), bytesMax);
  }

  /** What was held, whether or not its character is whole. */
  flush(): Uint8Array {
    const held = this.#held;
    this.#held = noBytes;
    return held;
  }
}

function piecesOf(bytes: Uint8Array, bytesMax: number): readonly Uint8Array[] {
  const pieces: Uint8Array[] = [];
  let start = 0;
  while (bytes.length - start > bytesMax) {
    const piece = bytes.subarray(start, start + bytesMax);
    const length = bytesMax - unfinishedBytes(piece);
    pieces.push(piece.subarray(0, length));
    start += length;
  }
  if (start < bytes.length) pieces.push(bytes.subarray(start));
  return pieces;
}

/** How many of the last bytes begin a sequence that more bytes could complete: 0 to 3. */
function unfinishedBytes(bytes: Uint8Array): number {
  for (let back = 1; back <= 3 && back <= bytes.length; back++) {
    const byte = bytes[bytes.length - back] ?? 0;
    if (isContinuation(byte)) continue;
    return sequenceLength(byte) > back ? back : 0;
  }
  return 0;
}

function isContinuation(byte: number): boolean {
  return (byte & 0xc0) === 0x80;
}

/** By its first byte; 1 where no sequence begins. */
function sequenceLength(first: number): number {
  if (first >= 0xc2 && first <= 0xdf) return 2;
  if (first >= 0xe0 && first <= 0xef) return 3;
  if (first >= 0xf0 && first <= 0xf4) return 4;
  return 1;
}

const noBytes: Uint8Array = new Uint8Array(0);
