import type { ReplenishedFleet } from './replenished-fleet.ts';
import type { VirtualClock } from './virtual-clock.ts';

export interface PoissonLoad {
  readonly perSecond: number;
  readonly seconds: number;
  /** Claims of the first seconds are not counted. */
  readonly settleSeconds: number;
  readonly onMiss: 'cold' | 'fail';
  readonly random: () => number;
}

/** Claims at random moments, as many a second on average as asked, and answers the share of hits. */
export async function poissonLoad(
  clock: VirtualClock,
  fleet: ReplenishedFleet,
  load: PoissonLoad,
  onCounted: () => void = () => {},
): Promise<number> {
  const startMs = clock.monotonicMs();
  let atMs = startMs;
  let hits = 0;
  let claims = 0;
  for (;;) {
    atMs += (-Math.log(1 - load.random()) * 1_000) / load.perSecond;
    if (atMs > startMs + load.seconds * 1_000) return hits / claims;
    await clock.until(atMs);
    const got = await fleet.claim(load.onMiss);
    if (atMs < startMs + load.settleSeconds * 1_000) continue;
    claims += 1;
    if (got === 'hit') hits += 1;
    onCounted();
  }
}
