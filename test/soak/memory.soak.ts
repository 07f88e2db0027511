import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Warmpool } from '../../src/client/node/warmpool.ts';
import { TestService } from '../support/service.ts';
import { until } from '../support/until.ts';

/**
 * T22: `WARMPOOL_TEST_MINUTES` (60) of creating, using and ending at about 70 % of what the pool may have. The heap of the
 * service after its collections grows by less than 1 MiB an hour once it is warm, and its handles not at all. A run of
 * less than half an hour says how it went, and judges the handles only: its slope is mostly noise.
 */

const minutes = Number(process.env.WARMPOOL_TEST_MINUTES ?? 60);
const maxTotal = 20;
const inUse = 10;
const warmupShare = 0.2;
const windows = 12;

test(`T22 I14 ${minutes} minutes of use leave the memory of the service as it was`, async (context) => {
  const pool = {
    name: 'base',
    template: { resources: { cpu: 1, memoryMb: 64, diskMb: 16, pids: 32 } },
    size: { minReady: 4, maxReady: 4, maxTotal, targetHitRatio: 0 },
    lease: { ttl: '5m' },
  };
  await using service = await TestService.start({ pools: [pool], env: { WARMPOOL_RUNTIME: 'bubblewrap' } });
  using warmpool = new Warmpool({ address: service.grpc });
  const endMs = performance.now() + minutes * 60_000;
  const samples: { atMs: number; heapBytes: number; handles: number }[] = [];
  let cycles = 0;
  const user = async () => {
    while (performance.now() < endMs) {
      await using sandbox = await warmpool.create('base');
      for (let command = 0; command < 5; command += 1)
        assert.equal((await sandbox.exec('head -c 20000 /dev/zero | wc -c')).stdout.trim(), '20000');
      await sandbox.files.write('/home/user/file', 'x'.repeat(50_000));
      cycles += 1;
    }
  };
  const watching = (async () => {
    while (performance.now() < endMs) {
      samples.push(await sampleOf(service));
      await new Promise<void>((resolve) => setTimeout(resolve, Math.min(1_000, minutes * 600)));
    }
  })();
  await Promise.all([watching, ...Array.from({ length: inUse }, user)]);

  // The least of each stretch of time is what its collections have left.
  const fromMs = endMs - minutes * 60_000 * (1 - warmupShare);
  const warm = samples.filter(({ atMs }) => atMs >= fromMs);
  const stretches = Array.from({ length: windows }, (_, index) => {
    const part = warm.slice(
      Math.floor((index * warm.length) / windows),
      Math.floor(((index + 1) * warm.length) / windows),
    );
    return { atMs: part[0]?.atMs ?? 0, leastBytes: Math.min(...part.map(({ heapBytes }) => heapBytes)) };
  }).filter(({ leastBytes }) => Number.isFinite(leastBytes));
  const perHour = slope(stretches.map(({ atMs, leastBytes }) => [atMs, leastBytes])) * 3_600_000;
  const said = `${cycles} sandboxes; ${(perHour / 1_048_576).toFixed(2)} MiB an hour over ${stretches.map(({ leastBytes }) => (leastBytes / 1_048_576).toFixed(1)).join(' ')} MiB`;
  context.diagnostic(said);
  if (minutes >= 30) assert.ok(perHour < 1_048_576, said);
  const before = Math.max(...samples.slice(0, Math.ceil(samples.length / 4)).map(({ handles }) => handles));
  await until(
    async () => (await sampleOf(service)).handles <= before,
    'no more handles than in the first quarter of the time',
  );
});

async function sampleOf(service: TestService): Promise<{ atMs: number; heapBytes: number; handles: number }> {
  const text = await (await fetch(`${service.http}/metrics`)).text();
  const value = (name: RegExp) => Number(name.exec(text)?.[1] ?? Number.NaN);
  const heapBytes = value(/^nodejs_heap_size_used_bytes (\S+)$/m);
  const handles = value(/^nodejs_active_handles_total (\S+)$/m);
  assert.ok(heapBytes > 0 && handles > 0, 'the metrics have both');
  return { atMs: performance.now(), heapBytes, handles };
}

/** Of the line with the least squares. */
function slope(points: readonly (readonly [number, number])[]): number {
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [x, y] = [mean(points.map(([at]) => at)), mean(points.map(([, value]) => value))];
  const over = points.reduce((sum, [at, value]) => sum + (at - x) * (value - y), 0);
  return over / points.reduce((sum, [at]) => sum + (at - x) ** 2, 0);
}
