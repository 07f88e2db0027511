import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryPoolStore } from '../../src/store/memory/memory-pool-store.ts';
import { poolSpec } from '../support/core.ts';
import { ReplenishedFleet } from '../support/replenished-fleet.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

/**
 * T24: pools of 100 to 5,000 with boots of a second on 32 nodes, and claims ever faster, in virtual time. Prints the first
 * rate at which a pool has none ready for some claim after five seconds of it; a number to compare, not to pass. What passes is
 * that it is full again afterwards, and never has more than it wants.
 */

const nodes = 32;
const rates = [10, 20, 50, 100, 200, 400, 800, 1_600, 3_200];

for (const size of [100, 500, 1_000, 2_000, 5_000]) {
  test(`T24 I8 a pool of ${size} converges up to some rate of claims, and never has more than it wants`, async (context) => {
    let cliff = 'none';
    for (const perSecond of rates) {
      if (await converges(size, perSecond)) continue;
      cliff = `${perSecond} claims a second`;
      break;
    }
    context.diagnostic(`pool of ${size}: the first that does not converge is ${cliff}`);
  });
}

async function converges(size: number, perSecond: number): Promise<boolean> {
  const clock = new VirtualClock();
  await using store = new MemoryPoolStore({ clock });
  const spec = poolSpec({
    size: { minReady: size, maxReady: size, maxTotal: 4 * size, startsInFlightMax: size },
  });
  const capacities = Array.from({ length: nodes }, () => size);
  const fleet = await clock.run(
    ReplenishedFleet.start({ store, spec, clock, capacities, bootMs: () => 1_000 }),
  );
  try {
    const full = ({ ready, starting }: { ready: number; starting: number }) => {
      assert.ok(ready + starting <= size, `${ready} + ${starting} of ${size}`);
      return ready === size;
    };
    await clock.run(fleet.until(clock, full));
    let misses = 0;
    const load = async () => {
      const startMs = clock.monotonicMs();
      while (clock.monotonicMs() < startMs + 10_000) {
        const answer = await fleet.claim();
        // In the first half the pool may still be finding its pace.
        if (answer === 'miss' && clock.monotonicMs() > startMs + 5_000) misses += 1;
        await new Promise<void>((resolve) => void clock.after(1_000 / perSecond, resolve));
      }
    };
    await clock.run(load());
    await clock.run(fleet.until(clock, full));
    return misses === 0;
  } finally {
    await clock.run(fleet[Symbol.asyncDispose]());
  }
}
