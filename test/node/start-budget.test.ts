import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StartBudget } from '../../src/node/start-budget.ts';
import { ManualClock } from '../guest-link/manual-clock.ts';

function budgetAt(random: number) {
  const clock = new ManualClock();
  return { clock, budget: new StartBudget({ clock, random: () => random }) };
}

/** Starts as many as may be in flight at once. */
function batch(budget: StartBudget): number {
  let inFlight = 0;
  while (budget.take(inFlight) === 0) inFlight += 1;
  return inFlight;
}

test('D17 starts come in batches of 1, 2, 4, 8 while they succeed, and of 1 after a failure', () => {
  const { clock, budget } = budgetAt(0);
  const sizes: number[] = [];
  for (let round = 0; round < 6; round += 1) {
    const size = batch(budget);
    sizes.push(size);
    for (let boot = 0; boot < size; boot += 1) budget.succeeded();
    clock.advance(10_000);
  }
  assert.deepEqual(sizes, [1, 2, 4, 8, 16, 32]);
  budget.failed();
  assert.equal(batch(budget), 1);
});

test('D17 three failures in a row close the pool, for longer each time, with a jitter of up to half', () => {
  for (const [random, stretch] of [
    [0, 1],
    [1, 1.5],
  ] as const) {
    const { clock, budget } = budgetAt(random);
    const closedMs: number[] = [];
    for (let failure = 0; failure < 7; failure += 1) {
      assert.equal(budget.take(0), 0);
      budget.failed();
      closedMs.push(budget.closedForMs);
      clock.advance(budget.closedForMs);
      // A failed start costs more tokens than it took.
      clock.advance(1_000);
    }
    assert.deepEqual(
      closedMs,
      [0, 0, 1_000, 2_000, 4_000, 6_500, 6_500].map((ms) => ms * stretch),
    );
    budget.succeeded();
    budget.failed();
    assert.equal(budget.closedForMs, 0);
  }
});

test('T9 boots that fail for a minute are tried less than 20 times, and again within 10 s after it', () => {
  for (const random of [0, 0.5, 1]) {
    const { clock, budget } = budgetAt(random);
    let tries = 0;
    let waitedMs = 0;
    while (clock.monotonicMs() < 60_000) {
      const waitMs = budget.take(0);
      if (waitMs === 0) {
        tries += 1;
        budget.failed();
        continue;
      }
      clock.advance(waitMs);
      waitedMs = waitMs;
    }
    assert.ok(tries < 20, `${tries} tries`);
    assert.ok(waitedMs <= 10_000);
  }
});

test('D17 no more than 50 starts a second in the long run, whatever succeeds', () => {
  const { clock, budget } = budgetAt(0);
  let started = 0;
  for (let tick = 0; tick < 10_000; tick += 1) {
    while (budget.take(0) === 0) {
      started += 1;
      budget.succeeded();
    }
    clock.advance(1);
  }
  assert.ok(started <= 64 + 500 + 1 && started >= 64 + 500 - 1, `${started} starts in 10 s`);
});
