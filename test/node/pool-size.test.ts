import assert from 'node:assert/strict';
import { test } from 'node:test';
import { missProbability } from '../../src/domain/miss-probability.ts';
import type { PoolSize } from '../../src/domain/pool-spec.ts';
import { MemoryPoolStore } from '../../src/store/memory/memory-pool-store.ts';
import type { PoolSnapshot, PoolStore } from '../../src/store/pool-store.ts';
import { poolSpec } from '../support/core.ts';
import { poissonLoad } from '../support/poisson-load.ts';
import { seededRandom } from '../support/random.ts';
import { type FleetOptions, ReplenishedFleet } from '../support/replenished-fleet.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

/** All in virtual time: what passes is the clock of the test, and nothing here depends on how fast a machine is. */

const roomy = { minReady: 0, maxReady: 1_000, maxTotal: 10_000, startsInFlightMax: 1_000 } as const;
const following = { targetHitRatio: 0.95, burst: 0, scaleToZeroAfterMs: 600_000 } as const;

function fleetOf(
  clock: VirtualClock,
  size: Partial<PoolSize>,
  options: Partial<FleetOptions> = {},
): Promise<ReplenishedFleet> {
  const store = new MemoryPoolStore({ clock });
  const spec = poolSpec({ size: { ...roomy, ...size } });
  return ReplenishedFleet.start({ clock, store, spec, bootMs: () => 500, ...options });
}

function inVirtualTime<T>(work: (clock: VirtualClock) => Promise<T>): Promise<T> {
  const clock = new VirtualClock();
  return clock.run(work(clock));
}

for (const onMiss of ['fail', 'cold'] as const) {
  test(`S12 a pool follows a load of 5 to the size that serves 95 % warm, where a miss means ${onMiss}`, async () => {
    await inVirtualTime(async (clock) => {
      const random = seededRandom(11);
      const bootMs = () => 250 + 500 * random();
      await using fleet = await fleetOf(clock, { ...following, onMiss }, { bootMs });
      const perSecond = 10;
      const hitRatio = await poissonLoad(clock, fleet, {
        perSecond,
        seconds: 300,
        settleSeconds: 100,
        onMiss,
        random,
      });
      const { target, demand } = await fleet.pool();
      const model = onMiss === 'fail' ? 'lost' : 'queued';
      // The estimate of a random load is above its mean more often than not, and a size is held for a minute.
      const least = onMiss === 'fail' ? 9 : 10;
      assert.ok(target >= least && target <= least + 3, `target ${target}`);
      assert.ok(Math.abs((demand?.load.bootMs?.stable ?? 0) - 500) < 50);
      assert.ok(hitRatio > 0.95 && hitRatio < 0.999, `hit ratio ${hitRatio}`);
      assert.ok(missProbability(model, least, 5) < 0.05);
    });
  });
}

test('S12 a pool of a fixed size misses as Erlang’s formula says', async () => {
  for (const [onMiss, model] of [
    ['fail', 'lost'],
    ['cold', 'queued'],
  ] as const) {
    await inVirtualTime(async (clock) => {
      const random = seededRandom(5);
      // A miss takes the oldest boot, and of boots that differ that is a long one: then fewer miss than the curve says.
      const bootMs = () => (onMiss === 'fail' ? 250 + 500 * random() : 500);
      await using fleet = await fleetOf(clock, { minReady: 7, onMiss }, { bootMs });
      const hitRatio = await poissonLoad(clock, fleet, {
        perSecond: 10,
        seconds: 600,
        settleSeconds: 10,
        onMiss,
        random,
      });
      const curve = 1 - missProbability(model, 7, 5);
      assert.ok(Math.abs(hitRatio - curve) < 0.02, `${onMiss}: ${hitRatio} instead of ${curve}`);
    });
  }
});

test('a pool scales to zero when nobody claims, comes back, and keeps its burst while it is in use', async () => {
  await inVirtualTime(async (clock) => {
    await using fleet = await fleetOf(clock, { ...following, burst: 3 });
    await fleet.until(clock, (pool) => pool.ready === 3);
    await clock.until(500_000);
    assert.equal(await fleet.claim(), 'hit');
    await clock.until(1_050_000);
    assert.equal((await fleet.pool()).ready, 3);
    await clock.until(1_103_000);
    const idle = await fleet.pool();
    assert.deepEqual([idle.target, idle.ready, idle.live], [0, 0, 0]);
    assert.equal(await fleet.claim(), 'miss');
    const back = await fleet.until(clock, (pool) => pool.ready === 3);
    assert.ok(back.readAtMs < 1_110_000);
  });
});

test('a surge is followed in seconds', async () => {
  await inVirtualTime(async (clock) => {
    const random = seededRandom(3);
    await using fleet = await fleetOf(clock, { ...following, minReady: 1 });
    const settled = { settleSeconds: 0, onMiss: 'cold', random } as const;
    await poissonLoad(clock, fleet, { perSecond: 1, seconds: 300, ...settled });
    const before = (await fleet.pool()).target;
    await poissonLoad(clock, fleet, { perSecond: 30, seconds: 10, ...settled });
    const after = (await fleet.pool()).target;
    assert.ok(before <= 4 && after >= 15, `${before}, then ${after}`);
  });
});

test('any number of nodes comes to one target, and their boots are shared by free capacity', async () => {
  await inVirtualTime(async (clock) => {
    const random = seededRandom(21);
    const capacities = [400, 200, 200, 100];
    await using fleet = await fleetOf(clock, { ...following, onMiss: 'fail' }, { capacities });
    const load = { perSecond: 20, settleSeconds: 0, onMiss: 'fail', random } as const;
    await poissonLoad(clock, fleet, { ...load, seconds: 40 });
    const before = fleet.nodes.map((node) => node.booted);
    await poissonLoad(clock, fleet, { ...load, seconds: 40 });
    const shares = fleet.nodes.map((node, at) => node.booted - (before[at] ?? 0));
    const all = shares.reduce((sum, share) => sum + share, 0);
    for (const [at, share] of shares.entries()) {
      const exact = (all * (capacities[at] ?? 0)) / 900;
      assert.ok(Math.abs(share - exact) <= 0.3 * exact, `${shares}`);
    }
    const { target, demand } = await fleet.pool();
    assert.equal(target, demand?.wanted);
    assert.ok(target >= 15 && target <= 19, `${target}`);
  });
});

test('a node that boots nothing costs its pool time, not its target', async () => {
  await inVirtualTime(async (clock) => {
    const store = new MemoryPoolStore({ clock });
    // It lives, has all the room there is, and never starts anything.
    const idler = {
      nodeId: 'idler',
      runtimes: ['docker'],
      pools: ['base'],
      draining: false,
      obeys: null,
      sandboxes: 0,
      capacity: 1_000_000,
    };
    await store.heartbeat(idler);
    let isThere = true;
    const beat = () => void store.heartbeat(idler).then(() => isThere && clock.after(1_000, beat));
    beat();
    await using fleet = await fleetOf(clock, { minReady: 8 }, { store, capacities: [100, 100] });
    const full = await fleet.until(clock, (pool) => pool.ready === 8);
    assert.ok(full.readAtMs < 10_000, `${full.readAtMs}`);
    isThere = false;
  });
});

test('a node that is full starts nothing and says so', async () => {
  await inVirtualTime(async (clock) => {
    await using fleet = await fleetOf(clock, { minReady: 8 }, { capacities: [3] });
    await fleet.until(clock, (pool) => pool.ready === 3);
    await clock.until(clock.monotonicMs() + 20_000);
    assert.equal((await fleet.pool()).live, 3);
    assert.match(fleet.nodes[0]?.note ?? '', /as many sandboxes as it may/);
  });
});

test('T5 I8 four nodes that see the store up to half a second late start what is missing and no more', async () => {
  await inVirtualTime(async (clock) => {
    const random = seededRandom(8);
    let most = 0;
    const store = new WatchedStore({ clock }, (pool) => {
      most = Math.max(most, pool.ready + pool.starting);
    });
    const options = { store, capacities: [1_000, 1_000, 1_000, 1_000], bootMs: () => 200 + 600 * random() };
    const viewOf = (real: PoolStore) => lateView(real, clock, random);
    await using fleet = await fleetOf(clock, { minReady: 500 }, { ...options, viewOf });
    const filled = await fleet.until(clock, (pool) => pool.ready === 500);
    assert.equal(filled.counters.startsWarm, 500);
    for (let claim = 0; claim < 300; claim += 1) assert.equal(await fleet.claim(), 'hit');
    const refilled = await fleet.until(clock, (pool) => pool.ready === 500);
    assert.equal(refilled.counters.startsWarm, 800);
    await clock.until(clock.monotonicMs() + 30_000);
    const later = await fleet.pool();
    assert.deepEqual([later.counters.startsWarm, later.ready, later.live], [800, 500, 500]);
    assert.equal(most, 500);

    // The other way: what is too many is ended once, although all nodes see it late.
    await fleet.resize({ ...roomy, minReady: 100 });
    await fleet.until(clock, (pool) => pool.ready <= 100);
    await clock.until(clock.monotonicMs() + 30_000);
    const shrunk = await fleet.pool();
    assert.deepEqual([shrunk.ready, shrunk.counters.startsWarm], [100, 800]);
  });
});

test('T9 D17 boots that fail for a minute are few, and the pool is full again soon after', async () => {
  await inVirtualTime(async (clock) => {
    let isBroken = true;
    await using fleet = await fleetOf(clock, { minReady: 8 }, { bootMs: () => (isBroken ? -50 : 50) });
    await clock.until(60_000);
    const { counters } = await fleet.pool();
    assert.ok(
      counters.startsFailed < 20 && counters.startsFailed > 5,
      `${counters.startsFailed} boots failed`,
    );
    isBroken = false;
    const mended = await fleet.until(clock, (pool) => pool.ready === 8);
    assert.ok(mended.readAtMs <= 70_500, `full at ${mended.readAtMs}`);
  });
});

test('T9 a storm of 300 claims is refilled at 50 starts a second', async () => {
  await inVirtualTime(async (clock) => {
    await using fleet = await fleetOf(clock, { minReady: 300 }, { bootMs: () => 20 });
    await fleet.until(clock, (pool) => pool.ready === 300);
    await clock.until(clock.monotonicMs() + 5_000);
    const startMs = clock.monotonicMs();
    for (let claim = 0; claim < 300; claim += 1) assert.equal(await fleet.claim(), 'hit');
    const refilled = await fleet.until(clock, (pool) => pool.ready === 300);
    const seconds = (refilled.readAtMs - startMs) / 1_000;
    assert.ok(seconds >= (300 - 64) / 50 && seconds < 300 / 50 + 1, `${seconds} s`);
  });
});

/** A memory store that shows each state between two steps to an observer. */
class WatchedStore extends MemoryPoolStore {
  readonly #see: (pool: PoolSnapshot) => void;

  constructor(deps: { readonly clock: VirtualClock }, see: (pool: PoolSnapshot) => void) {
    super(deps);
    this.#see = see;
  }

  override async reserveStart(slot: Parameters<PoolStore['reserveStart']>[0]) {
    const answer = await super.reserveStart(slot);
    const pool = await this.readPool(slot.pool);
    if (pool) this.#see(pool);
    return answer;
  }
}

/** What a node sees over a slow link: looking answers with what was true up to half a second ago. Steps are not delayed. */
function lateView(store: PoolStore, clock: VirtualClock, random: () => number): PoolStore {
  return new Proxy(store, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== 'function') return member;
      const verb = member.bind(target);
      if (name !== 'readPool' && name !== 'nodes') return verb;
      return async (...args: readonly unknown[]) => {
        const seen: unknown = await verb(...args);
        await clock.until(clock.monotonicMs() + 500 * random());
        return seen;
      };
    },
  });
}
