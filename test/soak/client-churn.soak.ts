import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { Warmpool } from '../../src/client/node/warmpool.ts';
import { TestService } from '../support/service.ts';
import { until } from '../support/until.ts';

/** T18: `WARMPOOL_TEST_ROUNDS` (1,000) times 12 clients at once get, use and leave one sandbox. */

const rounds = Number(process.env.WARMPOOL_TEST_ROUNDS ?? 1_000);
const atOnce = 12;

test('T18 clients that come and go leave no socket and no timer, here or in the service', async (context) => {
  const pool = {
    name: 'base',
    template: { resources: { cpu: 2, memoryMb: 128, diskMb: 16, pids: 64 } },
    size: { minReady: 1, maxReady: 1, maxTotal: 4, targetHitRatio: 0 },
    lease: { ttl: '30m' },
  };
  await using service = await TestService.start({ pools: [pool], env: { WARMPOOL_RUNTIME: 'bubblewrap' } });
  using warmpool = new Warmpool({ address: service.grpc });
  const owned = await warmpool.create('base');
  const visit = async () => {
    await using sandbox = await warmpool.get(owned.id);
    assert.equal((await sandbox.exec('echo here')).stdout, 'here\n');
  };
  const round = () => Promise.all(Array.from({ length: atOnce }, visit));
  // What is made once and kept is not what is looked for.
  for (let warmup = 0; warmup < 20; warmup += 1) await round();
  const before = { here: countsHere(), there: descriptorsOf(service.process.pid) };
  for (let done = 0; done < rounds; done += 1) await round();
  await until(
    () => same(countsHere(), before.here),
    () => `here: ${JSON.stringify([before.here, countsHere()])}`,
  );
  await until(
    () => descriptorsOf(service.process.pid) <= before.there,
    () => `descriptors of the service: ${before.there} before, ${descriptorsOf(service.process.pid)} now`,
  );
  assert.deepEqual(await owned.processes.list(), []);
  context.diagnostic(`${rounds * atOnce} visits; the service has ${before.there} descriptors, as before`);
  await owned.delete();
});

/** Of sockets and timers that keep this process alive. */
function countsHere(): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) {
    if (kind === 'TCPSocketWrap' || kind === 'TLSWrap') counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}

function same(one: Readonly<Record<string, number>>, other: Readonly<Record<string, number>>): boolean {
  return Object.entries(one).every(([kind, count]) => count <= (other[kind] ?? 0));
}

function descriptorsOf(pid: number | undefined): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}
