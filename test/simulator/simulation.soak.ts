import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pickSeed } from '../support/random.ts';
import { describeFailure, simulate } from './simulation.ts';

/** Millions of events of seeds that nobody has run before, or those from WARMPOOL_SEED on. */
const eventsAtLeast = 5_000_000;
const eventsMax = 50_000;

test('T26 the control plane keeps its invariants through millions of events', async (t) => {
  let seed = pickSeed();
  const first = seed;
  let [events, tookMs] = [0, 0];
  while (events < eventsAtLeast) {
    const report = await simulate({ seed, eventsMax });
    assert.equal(report.violation, null, describeFailure(report, 60, eventsMax));
    events += report.eventCount;
    tookMs += report.tookMs;
    seed += 1;
  }
  const perSecond = Math.round((events * 1_000) / tookMs);
  t.diagnostic(`${events} events of seeds ${first} to ${seed - 1}, ${perSecond} a second`);
});
