import { Samples } from './samples.ts';

/** One thing to measure: does it once and says how many milliseconds it took. */
export interface Turn {
  readonly name: string;
  readonly run: () => Promise<number>;
  /** Takes part in every n-th round only: for what costs so much that it would crowd out the rest. Default 1. */
  readonly everyRounds?: number;
}

export interface TurnOptions {
  /** Of each turn without `everyRounds`. */
  readonly samples: number;
  /** Rounds before, not counted: compiling, growing buffers and warming caches are not what is compared. */
  readonly warmupRounds: number;
  readonly signal: AbortSignal;
  readonly onRound?: (done: number, of: number) => void;
  /** Awaited between rounds, outside all timing. */
  readonly betweenRounds?: () => Promise<void>;
}

/**
 * Interleaves: one call of each in turn, so that whatever else happens on the machine happens to all of them. The order
 * moves on by one each round, so that nobody always runs behind the same other.
 */
export async function takeTurns<Name extends string>(
  turns: readonly (Turn & { readonly name: Name })[],
  options: TurnOptions,
): Promise<Record<Name, Samples>> {
  const samples = Object.fromEntries(turns.map(({ name }) => [name, new Samples()])) as Record<Name, Samples>;
  const { warmupRounds, signal } = options;
  for (let round = -warmupRounds; round < options.samples; round += 1) {
    signal.throwIfAborted();
    const first = (round + warmupRounds) % turns.length;
    for (const turn of [...turns.slice(first), ...turns.slice(0, first)]) {
      if (round % (turn.everyRounds ?? 1) !== 0) continue;
      const tookMs = await turn.run();
      if (round >= 0) samples[turn.name].add(tookMs);
    }
    await options.betweenRounds?.();
    if (round > 0 && round % 100 === 0) options.onRound?.(round, options.samples);
  }
  return samples;
}

/** Milliseconds until the promise of `work` has settled. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  await work();
  return performance.now() - startedMs;
}
