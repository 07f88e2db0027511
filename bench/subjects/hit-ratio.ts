import { missProbability, smallestSize } from '../../src/domain/miss-probability.ts';
import type { PoolSize } from '../../src/domain/pool-spec.ts';
import { MemoryPoolStore } from '../../src/store/memory/memory-pool-store.ts';
import { poissonLoad } from '../../test/support/poisson-load.ts';
import { pickSeed, seededRandom } from '../../test/support/random.ts';
import { ReplenishedFleet } from '../../test/support/replenished-fleet.ts';
import { VirtualClock } from '../../test/support/virtual-clock.ts';
import { atMost, type Figure, type Gate, type Outcome, single } from '../outcome.ts';
import type { Bench, Subject } from '../subject.ts';
import { prefilledSpec } from './prefilled-pool.ts';

/**
 * S12: whether a pool serves as many claims warm as the formula says that sizes it. Claims come at random (Poisson) to the
 * store in memory, real replenishers keep its pool filled, boots are timers of a given length, and all of it runs in virtual
 * time: an hour of it takes seconds, and how busy the machine is changes nothing.
 */
export const hitRatio: Subject = { id: 'S12', run };

const targetHitRatio = 0.95;

/** The offered load is claims a second × seconds of a boot. A replenisher starts 50 a second at most. */
const loads = [
  { erlangs: 5, perSecond: 10, claims: 15_000 },
  { erlangs: 10, perSecond: 20, claims: 20_000 },
  { erlangs: 50, perSecond: 25, claims: 60_000 },
] as const;

const misses = [
  { onMiss: 'fail', model: 'lost', curveName: 'Erlang B' },
  { onMiss: 'cold', model: 'queued', curveName: 'the Poisson tail' },
] as const;

const sizings = ['fixed', 'following its load'] as const;

async function run(bench: Bench): Promise<readonly Outcome[]> {
  const seed = pickSeed();
  const outcomes: Outcome[] = [];
  for (const miss of misses) {
    const figures: Figure[] = [];
    const gates: Gate[] = [];
    for (const load of loads) {
      for (const sizing of sizings) {
        bench.signal.throwIfAborted();
        bench.progress(`S12: load ${load.erlangs}, a miss means ${miss.onMiss}, size ${sizing}`);
        const { hits, curve, meanTarget } = await simulate(load, miss, sizing, seed);
        const name = `S12 load ${load.erlangs}, ${sizing}`;
        figures.push(
          single(`${name}: mean size`, meanTarget, 'sandboxes'),
          single(`${name}: claims served warm`, 100 * hits, '%'),
          single(`${name}: by ${miss.curveName}`, 100 * curve, '%'),
        );
        const points = 100 * Math.abs(hits - curve);
        const computed = `${(100 * hits).toFixed(2)} / ${(100 * curve).toFixed(2)} %`;
        gates.push(atMost(`load ${load.erlangs}, ${sizing}: within 2 points`, points, 2, computed));
      }
    }
    const notes = [
      `Virtual time, made-up boots, WARMPOOL_SEED=${seed}; the curve of a pool that follows its load is averaged over the sizes it had.`,
    ];
    outcomes.push({ kind: 'measured', subject: 'S12', on: `onMiss: ${miss.onMiss}`, figures, gates, notes });
  }
  return outcomes;
}

async function simulate(
  load: (typeof loads)[number],
  miss: (typeof misses)[number],
  sizing: (typeof sizings)[number],
  seed: number,
): Promise<{ readonly hits: number; readonly curve: number; readonly meanTarget: number }> {
  const clock = new VirtualClock();
  const random = seededRandom(seed);
  const { erlangs, perSecond, claims } = load;
  const { onMiss, model } = miss;
  const size: PoolSize = {
    ...prefilledSpec.size,
    onMiss,
    maxReady: 1_000,
    minReady: sizing === 'fixed' ? smallestSize(model, erlangs, 1 - targetHitRatio, 1_000) : 0,
    targetHitRatio: sizing === 'fixed' ? 0 : targetHitRatio,
  };
  const simulation = async () => {
    const bootMs = (1_000 * erlangs) / perSecond;
    await using fleet = await ReplenishedFleet.start({
      clock,
      store: new MemoryPoolStore({ clock }),
      spec: { ...prefilledSpec, size },
      bootMs: () => bootMs,
    });
    let target = size.minReady;
    let isOver = false;
    const look = () =>
      void fleet.pool().then((pool) => {
        target = pool.target;
        if (!isOver) clock.after(1_000, look);
      });
    look();
    const settleSeconds = 300;
    const seconds = settleSeconds + claims / perSecond;
    let targets = 0;
    let curve = 0;
    let counted = 0;
    const hits = await poissonLoad(
      clock,
      fleet,
      { perSecond, seconds, settleSeconds, onMiss, random },
      () => {
        counted += 1;
        targets += target;
        curve += 1 - missAt(target);
      },
    );
    isOver = true;
    return { hits, curve: curve / counted, meanTarget: targets / counted };
  };
  const known = new Map<number, number>();
  const missAt = (target: number): number => {
    const found = known.get(target) ?? missProbability(model, target, erlangs);
    known.set(target, found);
    return found;
  };
  return clock.run(simulation());
}
