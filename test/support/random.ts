/** Numbers from 0 to 1 that a seed gives again (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** A seed for this run: the one asked for in WARMPOOL_SEED, else a new one. Tests print it. */
export function pickSeed(): number {
  const asked = Number(process.env.WARMPOOL_SEED);
  return Number.isSafeInteger(asked) && asked > 0 ? asked : Math.floor(Math.random() * 0x7fff_ffff) + 1;
}
