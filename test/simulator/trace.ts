/**
 * What happened, as lines: the last ones are kept to be read after a failure, and all of them go into one number, so that
 * two runs of a seed can be compared without keeping either.
 */
export class Trace {
  readonly #kept: string[] = [];
  readonly #onLine: (line: string) => void;
  readonly #nowMs: () => number;
  #high = 0x811c9dc5;
  #low = 0x01000193;
  #next = 0;

  constructor(options: { readonly nowMs: () => number; readonly onLine?: (line: string) => void }) {
    this.#nowMs = options.nowMs;
    this.#onLine = options.onLine ?? (() => {});
  }

  line(who: string, what: string): void {
    const line = `${(this.#nowMs() / 1_000).toFixed(4).padStart(10)} ${who.padEnd(9)} ${what}`;
    for (let at = 0; at < line.length; at += 1) {
      const code = line.charCodeAt(at);
      this.#high = Math.imul(this.#high ^ code, 0x01000193);
      this.#low = Math.imul(this.#low + code, 0x85ebca6b) ^ (this.#low >>> 13);
    }
    this.#kept[this.#next % linesKept] = line;
    this.#next += 1;
    this.#onLine(line);
  }

  /** Differs for runs that differ in any line. */
  hash(): string {
    const hex = (word: number) => (word >>> 0).toString(16).padStart(8, '0');
    return hex(this.#high) + hex(this.#low);
  }

  last(count: number): readonly string[] {
    const from = Math.max(0, this.#next - Math.min(count, linesKept));
    return Array.from({ length: this.#next - from }, (_, at) => this.#kept[(from + at) % linesKept] ?? '');
  }
}

const linesKept = 2_000;
