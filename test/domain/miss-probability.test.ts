import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { loadMax, missProbability, smallestSize } from '../../src/domain/miss-probability.ts';

/**
 * Erlang B as printed in traffic tables: servers, probability of loss, and the offered load that leads to it. 17 and 25
 * servers are the examples of Abstract Micro Systems' reference of the Erlang Library for Excel (`ErlbTrafFromBlockage`);
 * the others are of the Erlang B table that teletraffic textbooks carry, with loads to three places at least.
 */
const printedTable: readonly (readonly [servers: number, loss: number, load: number])[] = [
  [1, 0.01, 0.0101],
  [1, 0.05, 0.0526],
  [5, 0.01, 1.3608],
  [5, 0.05, 2.2185],
  [10, 0.001, 3.092],
  [10, 0.01, 4.4612],
  [10, 0.02, 5.084],
  [10, 0.05, 6.2157],
  [17, 0.01, 9.6516],
  [17, 0.05, 12.4613],
  [20, 0.01, 12.0306],
  [20, 0.02, 13.1815],
  [20, 0.05, 15.2493],
  [25, 0.01, 16.1245],
  [50, 0.01, 37.9014],
  [50, 0.02, 40.2551],
  [50, 0.05, 44.533],
  [100, 0.001, 75.242],
  [100, 0.01, 84.0642],
  [100, 0.02, 87.972],
  [100, 0.05, 95.24],
];

/** Poisson's upper tail P(X ≥ k) from the printed tables of the cumulative distribution. */
const printedTail: readonly (readonly [load: number, size: number, tail: number])[] = [
  [1, 1, 0.6321],
  [1, 4, 0.019],
  [5, 5, 0.5595],
  [5, 10, 0.0318],
  [10, 10, 0.5421],
  [10, 16, 0.0487],
  [20, 30, 0.0218],
];

test('the loss of Erlang’s formula is that of the printed tables', () => {
  for (const [servers, loss, load] of printedTable) {
    const computed = missProbability('lost', servers, load);
    // As much as rounding the load moves the loss.
    const slack = missProbability('lost', servers, load + 0.0005) - computed;
    assert.ok(Math.abs(computed - loss) <= slack, `B(${servers}, ${load}) is ${computed}, not ${loss}`);
  }
});

test('a queued miss is as likely as the printed tail of Poisson’s distribution', () => {
  for (const [load, size, tail] of printedTail) {
    assert.ok(
      Math.abs(missProbability('queued', size, load) - tail) < 0.00006,
      `${missProbability('queued', size, load)} instead of ${tail}`,
    );
  }
});

test('sizes for 95 % at loads of 5, 10 and 50', () => {
  assert.deepEqual(
    [5, 10, 50].map((load) => smallestSize('lost', load, 0.05, 1_000)),
    [9, 15, 56],
  );
  assert.deepEqual(
    [5, 10, 50].map((load) => smallestSize('queued', load, 0.05, 1_000)),
    [10, 16, 63],
  );
});

test('no load and the largest one both have an answer', () => {
  for (const model of ['lost', 'queued'] as const) {
    assert.equal(missProbability(model, 0, 0), 1);
    assert.equal(missProbability(model, 1, 0), 0);
    assert.equal(smallestSize(model, 0, 0.05, 100), 0);
    assert.equal(smallestSize(model, loadMax, 0.05, 100_000), 100_000);
    const miss = missProbability(model, 100_000, 100_000);
    assert.ok(miss > 0 && miss < 0.6, `${miss}`);
    assert.equal(missProbability(model, 0, 50), 1);
  }
  // Where powers and factorials have long left the range of numbers; 0.7979/√a is Erlang’s loss at size = load.
  assert.ok(Math.abs(missProbability('lost', 10_000, 10_000) - 0.7979 / 100) < 1e-4);
});

const load = fc.double({ min: 0.001, max: 3_000, noNaN: true });
const model = fc.constantFrom('lost' as const, 'queued' as const);

test('more sandboxes never miss more, more load never misses less, and both stay probabilities', () => {
  fc.assert(
    fc.property(
      model,
      load,
      fc.integer({ min: 0, max: 3_000 }),
      fc.double({ min: 1, max: 2, noNaN: true }),
      (kind, a, size, more) => {
        const miss = missProbability(kind, size, a);
        assert.ok(miss >= 0 && miss <= 1);
        assert.ok(missProbability(kind, size + 1, a) <= miss);
        assert.ok(missProbability(kind, size, a * more) >= miss - 1e-12);
      },
    ),
    { numRuns: 300 },
  );
});

test('the smallest size is enough, and one less is not', () => {
  fc.assert(
    fc.property(model, load, fc.double({ min: 0.0001, max: 0.9, noNaN: true }), (kind, a, missMax) => {
      const size = smallestSize(kind, a, missMax, 100_000);
      assert.ok(missProbability(kind, size, a) < missMax);
      assert.ok(missProbability(kind, size - 1, a) >= missMax);
    }),
    { numRuns: 300 },
  );
});

test('a queued miss is never rarer than a lost one: it takes a boot away from the pool', () => {
  fc.assert(
    fc.property(load, fc.integer({ min: 0, max: 3_000 }), (a, size) => {
      assert.ok(missProbability('queued', size, a) >= missProbability('lost', size, a) - 1e-12);
    }),
    { numRuns: 300 },
  );
});
