import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fleet } from '../../src/node/fleet.ts';
import { MemoryPoolStore } from '../../src/store/memory/memory-pool-store.ts';
import type { HeardNode, PoolStore } from '../../src/store/pool-store.ts';
import { poolSpec } from '../support/core.ts';
import { overriding } from '../support/overriding.ts';
import { poissonLoad } from '../support/poisson-load.ts';
import { seededRandom } from '../support/random.ts';
import { ReplenishedFleet } from '../support/replenished-fleet.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

/** What must not grow with the square of the nodes (docs/scale.md). All in virtual time. */

function heard(index: number): HeardNode {
  return {
    nodeId: `node-${String(index).padStart(4, '0')}`,
    ...{ runtimes: ['docker'], pools: ['base'], draining: false, obeys: null, sandboxes: 0, capacity: 100 },
    ...{ heartbeatAgeMs: 500, heartbeatAtMs: 0, lostForMs: null, order: null },
  };
}

for (const { nodes, looks } of [
  { nodes: 3, looks: 100 },
  { nodes: 1_000, looks: 10 },
]) {
  test(`a node of ${nodes} reads the list of nodes ${looks} times in 100 s, and shares boots out all the time`, async () => {
    const clock = new VirtualClock();
    let lists = 0;
    const all = Array.from({ length: nodes }, (_, index) => heard(index));
    const store = {
      nodes: async () => {
        lists += 1;
        return all;
      },
    };
    const fleet = new Fleet({ store, clock }, { nodeId: heard(0).nodeId });
    await clock.run(
      (async () => {
        for (let second = 0; second < 100; second += 1) {
          await fleet.look();
          assert.equal(fleet.shareOfBoots(nodes, 'base'), 1);
          await clock.until((second + 1) * 1_000);
        }
      })(),
    );
    assert.ok(lists <= looks && lists > looks / 2, `${lists} lists`);
  });
}

test('fifty nodes together look at a busy pool some thousand times a second, and fill it as well as few', async () => {
  const clock = new VirtualClock();
  const inner = new MemoryPoolStore({ clock });
  let looks = 0;
  const view = overriding<PoolStore>(inner, {
    readPool: (name) => {
      looks += 1;
      return inner.readPool(name);
    },
  });
  const size = { minReady: 60, maxReady: 60, maxTotal: 1_000, startsInFlightMax: 1_000 };
  const seconds = 5;
  const hitRatio = await clock.run(
    (async () => {
      await using fleet = await ReplenishedFleet.start({
        clock,
        store: inner,
        spec: poolSpec({ size }),
        capacities: Array.from({ length: 50 }, () => 100),
        bootMs: () => 500,
        viewOf: () => view,
      });
      await fleet.until(clock, (pool) => pool.ready === size.minReady);
      looks = 0;
      const random = seededRandom(3);
      return await poissonLoad(clock, fleet, {
        perSecond: 50,
        seconds,
        settleSeconds: 0,
        onMiss: 'fail',
        random,
      });
    })(),
  );
  assert.ok(looks / seconds < 2_500, `${looks / seconds} looks a second`);
  assert.ok(hitRatio > 0.99, `${hitRatio} served warm`);
});
