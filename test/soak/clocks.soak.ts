import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { connect } from '../../src/client/grpc-client.ts';
import { RedisServer } from '../support/redis-server.ts';
import { ServiceFolder, TestService } from '../support/service.ts';

/**
 * T19: processes whose clocks are wrong, by libfaketime (Debian: `libfaketime`; WARMPOOL_TEST_FAKETIME names it elsewhere). No
 * sandbox may end early, and every one ends. The wall clock is what is faked: the monotonic one cannot be wrong by minutes, but
 * it may run at another rate.
 */

const library = process.env.WARMPOOL_TEST_FAKETIME ?? '/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1';
const skip = existsSync(library) ? false : `there is no ${library}`;

const ttlMs = 12_000;
const pool = {
  name: 'base',
  template: { resources: { cpu: 1, memoryMb: 64, diskMb: 16, pids: 32 } },
  size: { minReady: 1, maxReady: 2, maxTotal: 8, targetHitRatio: 0 },
  lease: { ttl: `${ttlMs / 1_000}s` },
};

interface Wrong {
  readonly service?: Readonly<Record<string, string>>;
  readonly store?: Readonly<Record<string, string>>;
}

const wallOnly = { LD_PRELOAD: library, FAKETIME_DONT_FAKE_MONOTONIC: '1', DONT_FAKE_MONOTONIC: '1' };
const cases: Readonly<Record<string, Wrong>> = {
  'the service is 300 s ahead': { service: { ...wallOnly, FAKETIME: '+300s' } },
  'the service is 300 s behind': { service: { ...wallOnly, FAKETIME: '-300s' } },
  'the wall clock of the service runs at double rate': { service: { ...wallOnly, FAKETIME: '+0s x2.0' } },
  'the store is 120 s ahead': { store: { ...wallOnly, FAKETIME: '+120s' } },
  'the store is 120 s behind': { store: { ...wallOnly, FAKETIME: '-120s' } },
};

for (const [what, wrong] of Object.entries(cases)) {
  test(`T19 I5 ${what}: nothing ends early, and everything ends`, { skip }, async (context) => {
    await using redis = await withVariables(wrong.store ?? {}, () => RedisServer.start());
    using folder = new ServiceFolder([pool]);
    const env = { WARMPOOL_RUNTIME: 'bubblewrap', REDIS_URL: redis.url, ...wrong.service };
    await using service = await TestService.start({ pools: [], folder, env });
    using client = connect(service.grpc);
    const { id } = await client.create('base');
    let renewedMs = performance.now();
    // Longer than a lease, and so not by the first one.
    const untilMs = renewedMs + 1.5 * ttlMs;
    while (performance.now() < untilMs) {
      await new Promise<void>((resolve) => setTimeout(resolve, ttlMs / 4));
      const sentMs = performance.now();
      await client.keepAlive(id);
      renewedMs = sentMs;
      assert.equal((await client.exec({ sandboxId: id, argv: ['true'] })).exitCode, 0);
    }
    const endedMs = await untilEnded(client, id);
    const livedMs = Math.round(endedMs - renewedMs);
    context.diagnostic(`lived ${livedMs} ms after its last renewal of ${ttlMs} ms`);
    assert.ok(livedMs >= ttlMs - 50, `it ended after ${livedMs} ms`);
  });
}

/** When it was first seen to be on its way out or gone. */
async function untilEnded(client: ReturnType<typeof connect>, id: string): Promise<number> {
  const giveUpMs = performance.now() + 8 * ttlMs;
  for (;;) {
    const state = await client.get(id).then(
      (view) => view.state,
      () => 'gone',
    );
    if (state !== 'running') return performance.now();
    assert.ok(performance.now() < giveUpMs, 'it never ends');
    await new Promise<void>((resolve) => setTimeout(resolve, 20));
  }
}

/** What is started inside inherits them. */
async function withVariables<T>(
  variables: Readonly<Record<string, string>>,
  start: () => Promise<T>,
): Promise<T> {
  Object.assign(process.env, variables);
  try {
    return await start();
  } finally {
    for (const name of Object.keys(variables)) delete process.env[name];
  }
}
