/**
 * Memory for what is written to guests, used again and again: bulk input would otherwise allocate its own volume, and the
 * collector, which sees such memory late, lets tens of megabytes of it gather. All links share it, since a buffer is out for
 * as long as one write takes. What is larger, or too small to be worth it, is allocated; and all is where nothing is kept.
 */
export class BatchBuffers {
  readonly #keptMax: number;
  readonly #free: Buffer[] = [];

  constructor(keptMax: number) {
    this.#keptMax = keptMax;
  }

  /** A buffer of this length, and what to call when its bytes have left; null: nothing. */
  take(length: number): { readonly bytes: Buffer; readonly giveBack: (() => void) | null } {
    if (this.#keptMax === 0 || length < worthwhileBytes || length > bufferBytes) {
      return { bytes: Buffer.allocUnsafe(length), giveBack: null };
    }
    const buffer = this.#free.pop() ?? Buffer.allocUnsafeSlow(bufferBytes);
    return { bytes: buffer.subarray(0, length), giveBack: () => this.#giveBack(buffer) };
  }

  #giveBack(buffer: Buffer): void {
    if (this.#free.length < this.#keptMax) this.#free.push(buffer);
  }
}

/** Bulk bytes per write: a batch is full with the frame that passes this. So two of the largest frames fit a buffer. */
export const batchBytesMax = 65_536;
const bufferBytes = 135_168;
const worthwhileBytes = 8_192;
