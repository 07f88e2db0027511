import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { connect, type WarmpoolClient } from '../../src/client/grpc-client.ts';
import { packageRoot } from '../../src/package-root.ts';
import { RedisServer } from '../support/redis-server.ts';
import { ServiceFolder, TestService } from '../support/service.ts';

/**
 * T19: processes whose wall clocks are wrong, from the start or from one moment to the next. No sandbox may end early, and
 * every one ends. What makes them wrong is `wrong-clock.c` beside this file.
 */

const folder = mkdtempSync(join(tmpdir(), 'wp-clock-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const library = join(folder, 'wrong-clock.so');
execFileSync('cc', [
  '-shared',
  '-fPIC',
  '-O1',
  '-o',
  library,
  join(packageRoot(), 'test/soak/wrong-clock.c'),
]);

const ttlMs = 12_000;
const pool = {
  name: 'base',
  template: { resources: { cpu: 1, memoryMb: 64, diskMb: 16, pids: 32 } },
  size: { minReady: 1, maxReady: 2, maxTotal: 8, targetHitRatio: 0 },
  lease: { ttl: `${ttlMs / 1_000}s` },
};

/** A wall clock that may be set to any number of seconds off. */
class WrongClock {
  readonly #file: string;

  constructor(name: string) {
    this.#file = join(folder, name);
    this.set(0);
  }

  get env(): Record<string, string> {
    return { LD_PRELOAD: library, WARMPOOL_TEST_CLOCK: this.#file };
  }

  set(seconds: number): void {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(seconds));
    // In its place, because a process may have it mapped.
    const fd = openSync(this.#file, constants.O_WRONLY | constants.O_CREAT, 0o644);
    writeSync(fd, bytes, 0, bytes.length, 0);
    closeSync(fd);
  }
}

for (const who of ['service', 'store'] as const) {
  for (const [what, before, meanwhile] of [
    ['is ahead from the start', who === 'store' ? 120 : 300, null],
    ['is behind from the start', who === 'store' ? -120 : -300, null],
    ['jumps ahead while it is used', 0, who === 'store' ? 120 : 300],
    ['jumps back while it is used', 0, who === 'store' ? -120 : -300],
  ] as const) {
    test(`T19 I5 D3 D12 the clock of the ${who} ${what}: nothing ends early, and everything ends`, async (context) => {
      const clock = new WrongClock(`${who}-${before}-${meanwhile}`);
      clock.set(before);
      const [ofService, ofStore] = who === 'service' ? [clock.env, {}] : [{}, clock.env];
      await using redis = await withVariables(ofStore, () => RedisServer.start());
      using state = new ServiceFolder([pool]);
      const env = { WARMPOOL_RUNTIME: 'bubblewrap', REDIS_URL: redis.url, ...ofService };
      await using service = await TestService.start({ pools: [], folder: state, env });
      using client = connect(service.grpc);
      const { id } = await client.create('base');
      assert.equal((await client.exec({ sandboxId: id, argv: ['sh', '-c', 'echo mine >mark'] })).exitCode, 0);
      let renewedMs = performance.now();
      if (meanwhile !== null) clock.set(meanwhile);
      // Longer than a lease, and so not by the first one.
      const untilMs = renewedMs + 1.5 * ttlMs;
      while (performance.now() < untilMs) {
        await new Promise<void>((resolve) => setTimeout(resolve, ttlMs / 4));
        renewedMs = await renewed(client, id);
        const { stdout } = await client.exec({ sandboxId: id, argv: ['cat', 'mark'] });
        assert.equal(stdout.toString(), 'mine\n');
      }
      const endedMs = await untilGone(client, id);
      const livedMs = Math.round(endedMs - renewedMs);
      context.diagnostic(`lived ${livedMs} ms after its last renewal of ${ttlMs} ms`);
      assert.ok(livedMs >= ttlMs - 50, `it ended after ${livedMs} ms`);
    });
  }
}

/** Between a jump and the node's word the store may take the lease for over: whoever asks again is served. */
async function renewed(client: WarmpoolClient, id: string): Promise<number> {
  const giveUpMs = performance.now() + ttlMs;
  for (;;) {
    const sentMs = performance.now();
    try {
      await client.keepAlive(id);
      return sentMs;
    } catch (error) {
      if (performance.now() > giveUpMs) throw error;
      await new Promise<void>((resolve) => setTimeout(resolve, 200));
    }
  }
}

/** When it was first seen to be on its way out or gone. */
async function untilGone(client: WarmpoolClient, id: string): Promise<number> {
  const giveUpMs = performance.now() + 20 * ttlMs;
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
