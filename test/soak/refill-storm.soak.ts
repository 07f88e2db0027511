import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect } from '../../src/client/grpc-client.ts';
import { ServiceFolder, TestService } from '../support/service.ts';
import { untilNoTraces } from '../support/traces.ts';
import { until } from '../support/until.ts';

/**
 * T9 on bubblewrap: `WARMPOOL_TEST_CLAIMS` (300) claims at once against a pool of as many, and the refill beside them. How
 * long claims take beside it is printed, to be compared. That boots which fail are few, and that the refill keeps to 50 a
 * second, is in `test/node/pool-size.test.ts` and `test/node/start-budget.test.ts`, on clocks that can be trusted.
 */

const claims = Number(process.env.WARMPOOL_TEST_CLAIMS ?? 300);

test(`T9 D17 a storm of ${claims} claims is served warm, and refilled without one boot too many`, async (context) => {
  const pool = {
    name: 'base',
    template: { resources: { cpu: 1, memoryMb: 32, diskMb: 16, pids: 16 } },
    size: {
      minReady: claims,
      maxReady: claims,
      maxTotal: 3 * claims,
      targetHitRatio: 0,
      startsInFlightMax: 8,
    },
    lease: { ttl: '20m' },
  };
  using folder = new ServiceFolder([pool]);
  await using service = await TestService.start({
    pools: [],
    folder,
    env: { WARMPOOL_RUNTIME: 'bubblewrap' },
  });
  using client = connect(service.grpc);
  const isFull = async () => (await client.pool('base')).ready === claims;
  await until(isFull, 'the pool to be full', 600_000);
  const { counters: before } = await client.pool('base');

  const timed = async () => {
    const startedMs = performance.now();
    const { launch } = await client.create('base');
    return { launch, ms: performance.now() - startedMs };
  };
  const quiet: number[] = [];
  for (let index = 0; index < 20; index += 1) quiet.push((await timed()).ms);
  await until(isFull, 'the pool to be full again', 600_000);
  const storm = await Promise.all(Array.from({ length: claims }, timed));
  const stormedMs = performance.now();
  assert.ok(storm.every(({ launch }) => launch === 'warm'));
  await until(isFull, 'the pool to be full after the storm', 600_000);
  const { counters } = await client.pool('base');
  assert.equal(counters.startsWarm - before.startsWarm, claims + quiet.length, 'as many as were taken');
  context.diagnostic(
    `one at a time p99 ${percentile(quiet)} ms; in the storm p99 ${percentile(storm.map(({ ms }) => ms))} ms; refilled in ${Math.round(performance.now() - stormedMs)} ms`,
  );
  for await (const { id } of client.list()) await client.delete(id);
  await client.scalePool('base', { minReady: 0, maxReady: 0 });
  await untilNoTraces(folder);
});

function percentile(samples: readonly number[]): string {
  const sorted = [...samples].sort((one, other) => one - other);
  return (sorted[Math.floor(sorted.length * 0.99)] ?? 0).toFixed(1);
}
