/**
 * Input that was sent and that the process has not been seen to take: at most one window of it, kept so that a new
 * socket can go on exactly where the old one broke. Bytes are numbered from 0, over all sockets.
 */
export class UnconfirmedInput {
  #chunks: Uint8Array[] = [];
  /** Number of the first kept byte. */
  #start = 0;
  #end = 0;

  /** Somebody else's input was there before. */
  beginAt(number: number | undefined): void {
    this.#start = number ?? 0;
    this.#end = this.#start;
  }

  sent(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#chunks.push(bytes.slice());
    this.#end += bytes.length;
  }

  /** The process took this many more. */
  confirmed(byteCount: number): void {
    this.#dropTo(this.#start + byteCount);
  }

  /**
   * What is to be sent again when the process has got `received` bytes; that then counts as all there is. Undefined: nobody
   * knows what it has got, and nothing is sent twice.
   */
  from(received: number | undefined): Uint8Array {
    this.#dropTo(received ?? this.#end);
    const kept = new Uint8Array(this.#end - this.#start);
    let at = 0;
    for (const chunk of this.#chunks) {
      kept.set(chunk, at);
      at += chunk.length;
    }
    return kept;
  }

  #dropTo(number: number): void {
    const target = Math.min(number, this.#end);
    while (this.#start < target) {
      const [first] = this.#chunks;
      if (first === undefined) return;
      const surplus = Math.min(first.length, target - this.#start);
      if (surplus === first.length) this.#chunks.shift();
      else this.#chunks[0] = first.subarray(surplus);
      this.#start += surplus;
    }
  }
}
