import type { World } from './world.ts';

/**
 * Takes real time and chance away while a run lasts: whoever asks for them gets the run's own, so that the run stays the
 * same for its seed, and is named, so that it can be given a clock.
 */
export class AmbientWorld implements Disposable {
  readonly #random = Math.random;
  readonly #dateNow = Date.now;
  readonly #performanceNow = performance.now.bind(performance);
  readonly #setTimeout = globalThis.setTimeout;
  readonly #uses = new Set<string>();

  constructor(world: World) {
    const used = (what: string) => {
      const stack = new Error(what).stack ?? '';
      const line = stack.split('\n').find((each) => /\/src\//.test(each));
      if (line) this.#uses.add(`${what} ${line.trim()}`);
    };
    Math.random = () => world.chance.next();
    Date.now = () => {
      used('Date.now');
      return this.#dateNow();
    };
    performance.now = () => {
      used('performance.now');
      return this.#performanceNow();
    };
    const realSetTimeout = this.#setTimeout;
    globalThis.setTimeout = Object.assign((...args: Parameters<typeof setTimeout>) => {
      used('setTimeout');
      return realSetTimeout(...args);
    }, realSetTimeout);
  }

  get uses(): readonly string[] {
    return [...this.#uses];
  }

  realNowMs(): number {
    return this.#performanceNow();
  }

  [Symbol.dispose](): void {
    Math.random = this.#random;
    Date.now = this.#dateNow;
    globalThis.setTimeout = this.#setTimeout;
    Reflect.deleteProperty(performance, 'now');
  }
}
