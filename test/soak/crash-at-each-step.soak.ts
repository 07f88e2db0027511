import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { connect } from '../../src/client/grpc-client.ts';
import { failpointNames } from '../../src/failpoints.ts';
import { pickSeed, seededRandom } from '../support/random.ts';
import { RedisServer } from '../support/redis-server.ts';
import { type PoolFile, ServiceFolder, TestService } from '../support/service.ts';
import { untilNoTraces } from '../support/traces.ts';
import { eachRuntime, type RuntimeUnderTest } from './each-runtime.ts';

/**
 * T6 with real sandboxes: the service kills itself at each failpoint, and its next start has to settle what that left.
 * `WARMPOOL_TEST_ROUNDS` rounds of each (3), `WARMPOOL_TEST_RUNTIMES` (bubblewrap,docker).
 */

const rounds = Number(process.env.WARMPOOL_TEST_ROUNDS ?? 3);
const seed = pickSeed();

const pool: PoolFile = {
  name: 'base',
  template: { resources: { cpu: 1, memoryMb: 128, diskMb: 64, pids: 64 } },
  size: { minReady: 2, maxReady: 4, maxTotal: 12, targetHitRatio: 0 },
  lease: { ttl: '5m' },
};

for (const runtime of await eachRuntime()) {
  describe(`T6 on ${runtime.name}`, () => {
    for (const name of failpointNames) {
      test(`T6 I6 a service that dies at "${name}" leaves nothing that its next start does not settle`, async (context) => {
        context.diagnostic(`WARMPOOL_SEED=${seed}`);
        const random = seededRandom(seed + failpointNames.indexOf(name));
        for (let round = 0; round < rounds; round += 1) {
          const settledMs = await dieAndSettle(runtime, `${name}:${1 + Math.floor(random() * 3)}`);
          context.diagnostic(`settled in ${Math.round(settledMs)} ms`);
        }
      });
    }
  });
}

/** How long it took from the next start on until the pool was full. */
async function dieAndSettle(runtime: RuntimeUnderTest, failpoint: string): Promise<number> {
  await using redis = await RedisServer.start({ aof: true });
  using folder = new ServiceFolder([pool]);
  const env = { ...runtime.env, REDIS_URL: redis.url };
  const armed = { ...env, WARMPOOL_FAILPOINTS: failpoint, WARMPOOL_TEST_FAILPOINTS: 'on' };
  await dieBy(folder, armed);
  const journal = join(folder.state, 'claims.journal');
  // It may have died before it had one.
  const bound = existsSync(journal) ? [...readFileSync(journal, 'latin1').matchAll(/"bind":/g)].length : 0;

  const startedMs = performance.now();
  await using service = await TestService.start({ pools: [], folder, env });
  using client = connect(service.grpc);
  while ((await client.pool('base')).ready < 2) await new Promise((resolve) => setTimeout(resolve, 50));
  const settledMs = performance.now() - startedMs;
  const listed = [];
  for await (const each of client.list()) listed.push(each);
  if (runtime.name === 'docker' && bound > 0) {
    for (const { id, state } of listed)
      if (state === 'running')
        assert.equal((await client.exec({ sandboxId: id, argv: ['true'] })).exitCode, 0);
  }
  for (const { id, state } of listed) if (state === 'running') await client.delete(id);
  await client.scalePool('base', { minReady: 0, maxReady: 0 });
  await untilNoTraces(folder, runtime.dockerHost);
  return settledMs;
}

/** Creates, uses and deletes until the service has died of its failpoint. */
async function dieBy(folder: ServiceFolder, env: Record<string, string>): Promise<void> {
  let service: TestService;
  try {
    service = await TestService.start({ pools: [], folder, env });
  } catch (error) {
    // It may have died before it served.
    if (/ended before it logged/.test(String(error))) return;
    throw error;
  }
  using client = connect(service.grpc);
  const work = (async () => {
    for (;;) {
      const { id } = await client.create('base', {}, { deadlineMs: 20_000 });
      await client.exec({ sandboxId: id, argv: ['true'] }, { deadlineMs: 20_000 });
      if (Math.random() < 0.7) await client.delete(id, { deadlineMs: 20_000 });
    }
  })().catch(() => {});
  const { signal } = await service.exited;
  await work;
  assert.equal(signal, 'SIGKILL');
}
