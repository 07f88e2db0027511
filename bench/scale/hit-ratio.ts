import { MemoryPoolStore } from '../../src/store/memory/memory-pool-store.ts';
import { poolSpec } from '../../test/support/core.ts';
import { poissonLoad } from '../../test/support/poisson-load.ts';
import { seededRandom } from '../../test/support/random.ts';
import { ReplenishedFleet } from '../../test/support/replenished-fleet.ts';
import { VirtualClock } from '../../test/support/virtual-clock.ts';

/** What the product does at a load, rather than what a formula says of it. */
export interface SimulatedPool {
  readonly claimsPerSecond: number;
  readonly bootSeconds: number;
  readonly hitRatio: number;
  /** Half the width of the 95 % confidence interval of the mean over the seeds. */
  readonly within: number;
  /** The target, on average over the seeds' ends. */
  readonly target: number;
  readonly claims: number;
}

/**
 * One pool under a Poisson load in virtual time. Real: the store's reference implementation, the replenishers of four nodes
 * with their budgets and shares, the estimate of the load and the sizing. Made up: boots (timers, ± 50 % around their mean),
 * and clients, whose sandboxes end as soon as they are claimed, because what a claim finds does not depend on its life.
 */
export async function simulatePool(load: {
  readonly claimsPerSecond: number;
  readonly bootSeconds: number;
  readonly targetHitRatio: number;
}): Promise<SimulatedPool> {
  const { claimsPerSecond, bootSeconds, targetHitRatio } = load;
  const ratios: number[] = [];
  const targets: number[] = [];
  // As many claims for each load, so that the intervals are as wide.
  const seconds = Math.max(settleSeconds + 200, settleSeconds + Math.round(claimsPerSeed / claimsPerSecond));
  for (const seed of seeds) {
    const clock = new VirtualClock();
    const random = seededRandom(seed);
    const run = async () => {
      const store = new MemoryPoolStore({ clock });
      const size = {
        ...{ minReady: 0, maxReady: 10_000, maxTotal: 100_000, startsInFlightMax: 10_000 },
        ...{ targetHitRatio, burst: 0, onMiss: 'cold' as const },
      };
      const bootMs = () => bootSeconds * (500 + 1_000 * random());
      const spec = poolSpec({ size });
      const capacities = [10_000, 10_000, 10_000, 10_000];
      await using fleet = await ReplenishedFleet.start({ clock, store, spec, bootMs, capacities });
      const perSecond = claimsPerSecond;
      const load = { perSecond, seconds, settleSeconds, onMiss: 'cold' as const, random };
      ratios.push(await poissonLoad(clock, fleet, load));
      targets.push((await fleet.pool()).target);
    };
    await clock.run(run());
  }
  const claims = seeds.length * Math.round((seconds - settleSeconds) * claimsPerSecond);
  return { claimsPerSecond, bootSeconds, claims, ...interval(ratios), target: mean(targets) };
}

function interval(samples: readonly number[]): { readonly hitRatio: number; readonly within: number } {
  const hitRatio = mean(samples);
  const squares = samples.reduce((sum, sample) => sum + (sample - hitRatio) ** 2, 0);
  const deviation = Math.sqrt(squares / (samples.length - 1));
  return { hitRatio, within: (studentT * deviation) / Math.sqrt(samples.length) };
}

function mean(samples: readonly number[]): number {
  return samples.reduce((sum, sample) => sum + sample, 0) / samples.length;
}

const seeds = [1, 2, 3, 4, 5];
/** 97.5 % quantile of Student's t with four degrees of freedom, for five seeds. */
const studentT = 2.776;
/** Two of the windows that the load is averaged over. */
const settleSeconds = 120;
const claimsPerSeed = 4_000;
