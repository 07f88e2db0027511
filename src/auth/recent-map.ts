/**
 * A map that keeps at least the newest half of `sizeMax` entries and at most `sizeMax`. It owns two generations: when the
 * younger one is full it becomes the older, which is forgotten.
 *
 * Turned down: one map from which the first key is deleted for each that is added. A map's iterator walks over all that was
 * deleted before it, so that finding the first costs more than everything else that is done with an entry.
 */
export class RecentMap<Value> {
  readonly #generationMax: number;
  #young = new Map<string, Value>();
  #old: ReadonlyMap<string, Value> = new Map();

  constructor(sizeMax: number) {
    this.#generationMax = sizeMax / 2;
  }

  get(key: string): Value | undefined {
    return this.#young.get(key) ?? this.#old.get(key);
  }

  set(key: string, value: Value): void {
    if (this.#young.size >= this.#generationMax) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, value);
  }
}
