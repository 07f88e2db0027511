import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect, type WarmpoolClient } from '../../src/client/grpc-client.ts';
import { isWarmpoolError } from '../../src/domain/errors.ts';
import { RedisServer } from '../support/redis-server.ts';
import { ServiceFolder, TestService } from '../support/service.ts';
import { untilNoTraces } from '../support/traces.ts';

/** T13 with `WARMPOOL_TEST_SANDBOXES` (200) sandboxes in use on bubblewrap, a real service and a real store that forgets. */

const count = Number(process.env.WARMPOOL_TEST_SANDBOXES ?? 200);

const pool = {
  name: 'base',
  template: { resources: { cpu: 1, memoryMb: 64, diskMb: 16, pids: 32 } },
  size: { minReady: 8, maxReady: 8, maxTotal: 2 * count + 50, targetHitRatio: 0, startsInFlightMax: 8 },
  lease: { ttl: '20m' },
};

for (const loss of ['emptied', 'put back to half of them'] as const) {
  test(`T13 I10 D9 a store that is ${loss}: nothing in use ends, and all of it is its owners’ again`, async (context) => {
    await using redis = await RedisServer.start();
    using folder = new ServiceFolder([pool]);
    const env = { WARMPOOL_RUNTIME: 'bubblewrap', REDIS_URL: redis.url };
    await using service = await TestService.start({ pools: [], folder, env });
    using client = connect(service.grpc);
    const raw = redis.client();
    const mine: string[] = [];
    for (let made = 0; made < count; made += 1) {
      const { id } = await client.create('base', { metadata: { number: String(made) } });
      await client.exec({ sandboxId: id, argv: ['sh', '-c', `echo ${made} >mark`] });
      mine.push(id);
      if (loss !== 'emptied' && made === count / 2) await raw.save();
    }
    if (loss === 'emptied') {
      await raw.flushall();
    } else {
      await redis.kill();
      await redis.restart();
    }
    const lostMs = performance.now();
    await untilListed(client, mine);
    context.diagnostic(`${count} are registered again after ${Math.round(performance.now() - lostMs)} ms`);
    for (const [index, sandboxId] of mine.entries()) {
      const { stdout } = await client.exec({ sandboxId, argv: ['cat', 'mark'] });
      assert.equal(stdout.toString(), `${index}\n`, 'it is the same one');
      assert.equal((await client.get(sandboxId)).metadata.number, String(index));
    }
    for (const id of mine) await client.delete(id);
    await client.scalePool('base', { minReady: 0, maxReady: 0 });
    await untilNoTraces(folder);
  });
}

async function untilListed(client: WarmpoolClient, wanted: readonly string[]): Promise<void> {
  const endMs = performance.now() + 90_000;
  for (;;) {
    const listed = new Set<string>();
    try {
      for await (const { id, state } of client.list()) if (state === 'running') listed.add(id);
    } catch (error) {
      if (!isWarmpoolError(error) || error.code !== 'STORE_UNAVAILABLE') throw error;
    }
    const missing = wanted.filter((id) => !listed.has(id));
    if (missing.length === 0) return;
    assert.ok(performance.now() < endMs, `${missing.length} are not registered again`);
    await new Promise<void>((resolve) => setTimeout(resolve, 100));
  }
}
