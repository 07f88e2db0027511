import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  bootMsOf,
  claimsPerSecondOf,
  firstEstimate,
  type LoadCounters,
  type LoadEstimate,
  nextEstimate,
} from '../../src/domain/load-estimate.ts';
import type { PoolSize } from '../../src/domain/pool-spec.ts';
import { type Demand, demandOf, explainTarget, targetOf } from '../../src/domain/sizing.ts';

const minuteMs = 60_000;
const size: PoolSize = {
  minReady: 0,
  maxReady: 64,
  maxTotal: 256,
  startsInFlightMax: 16,
  maxIdleAgeMs: 3_600_000,
  onMiss: 'fail',
  targetHitRatio: 0.95,
  burst: 0,
  scaleToZeroAfterMs: 10 * minuteMs,
};
const idle = { ready: 0, starting: 0, live: 0 };

/** Looks every second at a load that stays as it is. */
class Watched {
  demand: Demand | null = null;
  #counted: LoadCounters = { claims: 0, boots: 0, bootMs: 0 };
  #atMs = 1_000_000;
  readonly #rule: PoolSize;

  constructor(rule: Partial<PoolSize> = {}) {
    this.#rule = { ...size, ...rule };
    this.look(firstEstimate(this.#counted, this.#atMs));
  }

  run(seconds: number, claimsPerSecond: number, bootMs: number): this {
    for (let second = 0; second < seconds; second += 1) {
      const { claims, boots, bootMs: bootedMs } = this.#counted;
      this.#counted = {
        claims: claims + claimsPerSecond,
        boots: boots + claimsPerSecond,
        bootMs: bootedMs + claimsPerSecond * bootMs,
      };
      this.#atMs += 1_000;
      const next = this.demand && nextEstimate(this.demand.load, this.#counted, this.#atMs);
      assert.ok(next);
      this.look(next);
    }
    return this;
  }

  look(load: LoadEstimate): void {
    this.demand = demandOf(this.#rule, load, this.demand);
  }

  get wanted(): number {
    return this.demand?.wanted ?? 0;
  }

  explained(now = idle) {
    return explainTarget(this.#rule, this.demand, now);
  }
}

test('a steady load is sized by Erlang’s formula where a miss is refused', () => {
  const pool = new Watched().run(600, 10, 1_000);
  assert.ok(Math.abs((pool.explained().offeredLoad ?? 0) - 10) < 0.01);
  assert.equal(pool.wanted, 15);
  assert.equal(pool.explained().reason, 'load');
  assert.equal(pool.explained().limit, 'none');
  assert.ok((pool.explained().hitRatioExpected ?? 0) > 0.95);
});

test('a pool whose misses take its boots keeps more', () => {
  assert.equal(new Watched({ onMiss: 'cold' }).run(600, 10, 1_000).wanted, 16);
  assert.equal(new Watched({ onMiss: 'wait' }).run(600, 10, 1_000).wanted, 16);
});

test('an estimate rises in seconds, as a surge, and falls in minutes', () => {
  const pool = new Watched().run(600, 1, 1_000);
  const calm = pool.wanted;
  pool.run(12, 20, 1_000);
  assert.ok(pool.wanted > 4 * calm, `${calm}, then ${pool.wanted}`);
  assert.equal(pool.explained().reason, 'surge');
  const high = pool.wanted;
  pool.run(30, 1, 1_000);
  assert.equal(pool.wanted, high);
  assert.equal(pool.explained().reason, 'held');
  pool.run(300, 1, 1_000);
  assert.ok(pool.wanted <= calm + 1, `${calm}, then ${pool.wanted}`);
});

test('noise of a steady load changes the size seldom', () => {
  const pool = new Watched();
  let changes = 0;
  for (let second = 0; second < 1_200; second += 1) {
    const before = pool.wanted;
    pool.run(1, second % 2 === 0 ? 8 : 12, 1_000);
    if (second > 600 && pool.wanted !== before) changes += 1;
  }
  assert.equal(changes, 0);
});

test('one slow boot is forgotten without another one', () => {
  const counted = { claims: 0, boots: 100, bootMs: 10_000 };
  let load = firstEstimate({ claims: 0, boots: 0, bootMs: 0 }, 0);
  const look = (now: LoadCounters) => {
    const next = nextEstimate(load, now, load.sampledAtMs + 1_000);
    assert.ok(next);
    load = next;
  };
  look(counted);
  assert.equal(bootMsOf(load), 100);
  const withSlow = { claims: 0, boots: 101, bootMs: 20_000 };
  look(withSlow);
  assert.ok((bootMsOf(load) ?? 0) > 1_000);
  for (let second = 0; second < 60; second += 1) look(withSlow);
  assert.ok((bootMsOf(load) ?? 0) < 300, `${bootMsOf(load)}`);
});

test('an unused pool wants nothing, a used one at least one, and one that is used again comes back', () => {
  const pool = new Watched();
  assert.equal(pool.wanted, 0);
  pool.run(1, 1, 300).run(599, 0, 0);
  assert.equal(pool.wanted, 1);
  assert.equal(pool.explained().reason, 'load');
  pool.run(1, 0, 0);
  assert.equal(pool.wanted, 0);
  assert.equal(pool.explained().reason, 'unused');
  assert.equal(pool.run(1, 1, 300).wanted, 1);
});

test('the first claim of a pool that never booted anything makes it boot one', () => {
  let load = firstEstimate({ claims: 0, boots: 0, bootMs: 0 }, 0);
  load = nextEstimate(load, { claims: 1, boots: 0, bootMs: 0 }, 1_000) ?? load;
  assert.equal(demandOf(size, load, null).wanted, 1);
});

test('the promised burst is kept from the beginning until the pool is unused', () => {
  const pool = new Watched({ burst: 12 });
  assert.equal(pool.wanted, 12);
  assert.equal(pool.explained().reason, 'burst');
  assert.equal(pool.run(300, 1, 100).wanted, 12);
  assert.equal(pool.run(599, 0, 0).wanted, 12);
  assert.equal(pool.run(1, 0, 0).wanted, 0);
});

test('a pool that does not follow its load wants its burst and no more', () => {
  assert.equal(new Watched({ targetHitRatio: 0 }).run(100, 50, 1_000).wanted, 0);
  assert.equal(new Watched({ targetHitRatio: 0, burst: 3 }).run(100, 50, 1_000).wanted, 3);
});

test('the bounds of a pool hold whatever its load, and are named', () => {
  assert.equal(targetOf({ minReady: 4, maxReady: 64 }, 2), 4);
  assert.equal(targetOf({ minReady: 4, maxReady: 64 }, 20), 20);
  assert.equal(targetOf({ minReady: 4, maxReady: 64 }, 100), 64);
  assert.equal(targetOf({ minReady: 9, maxReady: 4 }, 0), 4);
  const busy = { claims: 10, bootMs: 1_000 };
  const bounded = (rule: Partial<PoolSize>, now = idle) =>
    new Watched(rule).run(300, busy.claims, busy.bootMs).explained(now);
  assert.equal(bounded({ maxReady: 8 }).limit, 'max_ready');
  assert.ok((bounded({ maxReady: 8 }).hitRatioExpected ?? 1) < 0.8);
  assert.equal(bounded({ startsInFlightMax: 4 }).limit, 'starts_in_flight');
  assert.equal(bounded({}, { ready: 1, starting: 0, live: 256 }).limit, 'max_total');
  assert.equal(bounded({ minReady: 30 }).reason, 'min_ready');
});

test('it does not matter how often, or by whom, the counters are read', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1_000, max: 30_000 }), { minLength: 40, maxLength: 80 }),
      (gaps) => {
        let load = firstEstimate({ claims: 0, boots: 0, bootMs: 0 }, 0);
        let atMs = 0;
        for (const gapMs of gaps) {
          atMs += gapMs;
          load = nextEstimate(load, { claims: atMs / 100, boots: 0, bootMs: 0 }, atMs) ?? load;
        }
        // Ten a second, whatever the gaps: after t seconds the stable window has seen all but e^(−t/60) of it.
        const expected = 10 * (1 - Math.exp(-atMs / 60_000));
        assert.ok(Math.abs(load.claimsPerSecond.stable - expected) < 1e-6);
        assert.ok(claimsPerSecondOf(load) >= load.claimsPerSecond.stable);
      },
    ),
    { numRuns: 100 },
  );
});

test('a clock or counters that went back cost no estimate, and no sample counts twice', () => {
  const before = new Watched().run(120, 10, 500).demand?.load;
  assert.ok(before);
  const { sampledAtMs, counted } = before;
  assert.equal(nextEstimate(before, counted, sampledAtMs + 999), null);
  for (const [back, atMs] of [
    [counted, sampledAtMs - 50_000],
    [{ ...counted, claims: 3 }, sampledAtMs + 10],
  ] as const) {
    const after = nextEstimate(before, back, atMs);
    assert.deepEqual(after?.claimsPerSecond, before.claimsPerSecond);
    assert.deepEqual(after?.counted, back);
    assert.equal(after?.sampledAtMs, atMs);
    assert.ok((after?.claimedAtMs ?? 0) <= atMs);
  }
});
