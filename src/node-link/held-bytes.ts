/** What may wait in this process for nodes that take nothing, over all links. */
export class HeldBytes {
  readonly #bytesMax: number;
  readonly #holders = new Set<Holder>();
  #bytes = 0;

  constructor(bytesMax: number = heldBytesMaxDefault) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** So much more waits there, or less. Past the bound the one that holds most gives up its largest part. */
  changed(holder: Holder, bytes: number): void {
    this.#bytes += bytes;
    if (holder.heldBytes > 0) this.#holders.add(holder);
    else this.#holders.delete(holder);
    if (bytes <= 0) return;
    while (this.#bytes > this.#bytesMax) {
      let largest: Holder | undefined;
      for (const each of this.#holders) {
        if (largest === undefined || each.heldBytes > largest.heldBytes) largest = each;
      }
      if (largest === undefined) return;
      largest.giveUpLargest();
    }
  }
}

export interface Holder {
  readonly heldBytes: number;
  giveUpLargest(): void;
}

/** The whole input windows of 256 channels. */
const heldBytesMaxDefault = 67_108_864;
