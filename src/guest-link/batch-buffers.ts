/**
 * Memory for what is written to guests, used again and again: bulk input would otherwise allocate its own volume, and the
 * collector, which sees such memory late, lets tens of megabytes of it gather. All links share it, since a buffer is out for
 * as long as one write takes. At most `keptMax` are kept; what is larger, or too small to be worth it, is allocated.
 */
export class BatchBuffers {
  readonly #free: Buffer[] = [];

  /** A buffer of this length, and what to call when its bytes have left; null: nothing. */
  take(length: number): { readonly bytes: Buffer; readonly giveBack: (() => void) | null } {
    if (length < worthwhileBytes || length > bufferBytes) {
      return { bytes: Buffer.allocUnsafe(length), giveBack: null };
    }
    const buffer = this.#free.pop() ?? Buffer.allocUnsafeSlow(bufferBytes);
    return { bytes: buffer.subarray(0, length), giveBack: () => this.#giveBack(buffer) };
  }

  #giveBack(buffer: Buffer): void {
    if (this.#free.length < keptMax) this.#free.push(buffer);
  }
}

/** Bulk bytes per write: a batch is full with the frame that passes this. So two of the largest frames fit a buffer. */
export const batchBytesMax = 65_536;
const bufferBytes = 135_168;
const worthwhileBytes = 8_192;
/** What four busy links have on the way. */
const keptMax = 16;
