import { Replenisher, type ReplenisherDeps } from './replenisher.ts';

/** One replenisher for each pool that this node fills, and those that were told to stop until they have. */
export class Replenishers {
  readonly #deps: ReplenisherDeps;
  readonly #options: { readonly nodeId: string; readonly capacity: number };
  readonly #byPool = new Map<string, Replenisher>();
  readonly #stopping = new Set<Promise<void>>();

  constructor(deps: ReplenisherDeps, options: { readonly nodeId: string; readonly capacity: number }) {
    this.#deps = deps;
    this.#options = options;
  }

  of(pool: string): Replenisher | undefined {
    return this.#byPool.get(pool);
  }

  /** New ones for new pools, none for the others; all look again. Settles when those have stopped; whether there were any. */
  async keep(pools: readonly string[]): Promise<boolean> {
    const wanted = new Set(pools);
    const stopped = [...this.#byPool.keys()]
      .filter((pool) => !wanted.has(pool))
      .map((pool) => this.#stop(pool));
    for (const pool of pools) {
      const known = this.#byPool.get(pool);
      if (known) known.wake();
      else this.#start(pool);
    }
    await Promise.all(stopped);
    return stopped.length > 0;
  }

  wakeAll(): void {
    for (const replenisher of this.#byPool.values()) replenisher.wake();
  }

  /** Whether one still runs, or has boots in flight. */
  get busy(): boolean {
    return this.#byPool.size + this.#stopping.size > 0;
  }

  /** Settles when those that were told to stop have. */
  async settled(): Promise<void> {
    await Promise.all(this.#stopping);
  }

  #start(pool: string): void {
    const replenisher = new Replenisher(this.#deps, { pool, ...this.#options });
    this.#byPool.set(pool, replenisher);
    replenisher.start();
  }

  #stop(pool: string): Promise<void> {
    const stopped = this.#byPool.get(pool)?.[Symbol.asyncDispose]() ?? Promise.resolve();
    this.#byPool.delete(pool);
    this.#stopping.add(stopped);
    return stopped.finally(() => this.#stopping.delete(stopped));
  }
}
