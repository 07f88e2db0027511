import { VirtualClock } from '../support/virtual-clock.ts';
import { Chance } from './chance.ts';
import { Trace } from './trace.ts';

/**
 * Time, chance and the record of one run. Everything that happens is a callback of one queue, and between two of them all
 * promises that can settle have settled: so the same seed gives the same run, line by line.
 */
export class World {
  readonly chance: Chance;
  readonly trace: Trace;
  readonly #clock = new VirtualClock();
  #eventCount = 0;
  #end: () => void = () => {};
  /** What is wrong, if something was found to be; the run ends there. */
  violation: Violation | null = null;

  constructor(options: { readonly seed: number; readonly onLine?: (line: string) => void }) {
    this.chance = new Chance(options.seed);
    const { onLine } = options;
    this.trace = new Trace({ nowMs: () => this.nowMs, ...(onLine && { onLine }) });
  }

  get nowMs(): number {
    return this.#clock.monotonicMs();
  }

  get eventCount(): number {
    return this.#eventCount;
  }

  after(delayMs: number, callback: () => void): () => void {
    return this.#clock.after(delayMs, () => {
      this.#eventCount += 1;
      callback();
    });
  }

  wait(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.after(delayMs, resolve);
    });
  }

  /** Lets things happen until the work is done, or the run is found to be wrong. */
  async run(work: Promise<void>): Promise<void> {
    const ended = new Promise<void>((resolve) => {
      this.#end = resolve;
    });
    await this.#clock.run(Promise.race([work, ended]));
  }

  fail(rule: string, sentence: string): void {
    if (this.violation) return;
    this.trace.line('CHECKER', `${rule} is broken: ${sentence}`);
    this.violation = { rule, sentence, atMs: this.nowMs };
    this.#end();
  }
}

export interface Violation {
  /** The number of the invariant, such as `I1`. */
  readonly rule: string;
  readonly sentence: string;
  readonly atMs: number;
}
