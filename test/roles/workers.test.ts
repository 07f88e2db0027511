import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { connect } from '../../src/client/grpc-client.ts';
import { Warmpool } from '../../src/client/node/warmpool.ts';
import { RedisServer } from '../support/redis-server.ts';
import { requirement } from '../support/requirements.ts';
import type { TestService } from '../support/service.ts';
import { until } from '../support/until.ts';
import { owner, SplitService } from './split-service.ts';

const missing = (await requirement('bubblewrap')).skip || (await requirement('redis')).skip;
const pools = [{ name: 'base', size: { minReady: 2, maxReady: 4, maxTotal: 16 } }];

describe('a service of two workers', { skip: missing }, () => {
  let redis: RedisServer;
  let split: SplitService;
  let service: TestService;

  before(async () => {
    redis = await RedisServer.start();
    split = new SplitService(redis.url, pools);
    // Those that drain are not to be killed on a machine that is short of processors.
    service = await split.start('all', { env: { WARMPOOL_WORKERS: '2', WARMPOOL_DRAIN_TIMEOUT: '60s' } });
  });
  after(async () => {
    await split?.[Symbol.asyncDispose]();
    await redis?.stop();
  });

  function workerPids(): readonly number[] {
    return service.lines.filter(({ msg }) => msg === 'a worker serves').map(({ pid }) => Number(pid));
  }

  /** By a connection of its own, which is handed to the next worker. */
  async function useOnce(): Promise<void> {
    const client = connect(service.grpc, { apiKey: owner.key });
    const sandbox = await client.create('base');
    const { stdout } = await client.exec({ sandboxId: sandbox.id, argv: ['echo', 'served'] });
    assert.equal(stdout.toString(), 'served\n');
    await client.delete(sandbox.id);
    client.close();
  }

  test('serves calls by either of them, and its data port by itself', async () => {
    assert.equal(new Set(workerPids()).size, 2);
    for (let count = 0; count < 4; count += 1) await useOnce();
    using warmpool = new Warmpool({ address: service.grpc, apiKey: owner.key });
    await using sandbox = await warmpool.create('base');
    assert.match(
      sandbox.info.wsUrl,
      new RegExp(`^ws://127\\.0\\.0\\.1:\\d+/warmpool/v1/sandboxes/${sandbox.id}/`),
    );
    assert.equal((await sandbox.exec('echo direct')).stdout, 'direct\n');
    const ready = await fetch(`${service.http}/readyz`);
    assert.equal(ready.status, 200);
  });

  /** By a connection of its own, too. */
  async function scrape(): Promise<(series: string) => number> {
    const answer = await fetch(`${service.http}/metrics`, { headers: { connection: 'close' } });
    assert.equal(answer.status, 200);
    const lines = (await answer.text()).split('\n');
    return (series) => {
      const found = lines.filter((line) => line.startsWith(`${series} `));
      assert.equal(found.length, 1, series);
      return Number(found[0]?.slice(series.length));
    };
  }

  const claims = 'warmpool_claims_total{outcome="warm"}';

  test('answers for all of its processes, whichever of them is asked for metrics', async () => {
    for (let count = 0; count < 4; count += 1) {
      const value = await scrape();
      // Each of the two has had some, and the process above them has booted the sandboxes.
      assert.equal(value(claims) + value('warmpool_claims_total{outcome="cold"}'), 5);
      assert.equal(value('warmpool_claim_duration_seconds_count{outcome="warm"}'), value(claims));
      assert.ok(value('warmpool_boots_total{runtime="bubblewrap",outcome="ready"}') >= 5);
      assert.ok(value('warmpool_pool_live{pool="base"}') <= 16);
      assert.ok(value('warmpool_pool_target{pool="base"}') <= 4);
      assert.equal(value('xgen_warm_pool_claims_total'), value(claims));
    }
  });

  test('goes on while one of them is killed, and has two again', async () => {
    const [doomed = 0] = workerPids();
    const before = (await scrape())(claims);
    process.kill(doomed, 'SIGKILL');
    // Until then it may still be handed a connection, as any server may that dies in the middle of a call.
    await service.logged('a worker has ended');
    await useOnce();
    await until(() => workerPids().length === 3, 'another worker in its place');
    assert.ok((await scrape())(claims) > before, 'what the dead one had counted is not forgotten');
  });

  test('has new pools in all of them, also in one that is just starting', async () => {
    const [, second] = workerPids();
    assert.ok(second);
    process.kill(second, 'SIGKILL');
    await until(
      () => service.lines.filter(({ msg }) => msg.startsWith('a worker has ended')).length === 2,
      'its end',
    );
    service.folder.writePools([...pools, { name: 'added', size: { minReady: 0, maxReady: 0, maxTotal: 1 } }]);
    service.process.kill('SIGHUP');
    const isKnown = async () => {
      const client = connect(service.grpc, { apiKey: owner.key });
      try {
        return (await client.pool('added')).name === 'added';
      } catch {
        return false;
      } finally {
        client.close();
      }
    };
    await until(async () => {
      const known = await Promise.all(Array.from({ length: 4 }, isKnown));
      return workerPids().length === 4 && known.every((each) => each);
    }, 'both of them to know the pool');
  });

  test('D19 ends with all its workers, having drained', async () => {
    const pids = workerPids();
    // As a terminal does with ^C: each of them has it, and the workers are told to stop once more by the process above.
    const ended = service.kill('SIGINT');
    for (const pid of pids.slice(-2)) process.kill(pid, 'SIGINT');
    const { code } = await ended;
    assert.equal(code, 0);
    for (const pid of pids) assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
    const drained = () => service.lines.filter(({ msg }) => msg === 'stopped; nothing is left behind');
    await until(() => drained().length === 3, 'all of them to say that they have drained');
  });
});

describe('an allocator of two workers', { skip: missing }, () => {
  test('D19 kills a worker that hangs when it is told to stop, and says so', async () => {
    await using redis = await RedisServer.start();
    await using split = new SplitService(redis.url, pools);
    const service = await split.start('allocator', {
      env: { WARMPOOL_WORKERS: '2', WARMPOOL_DRAIN_TIMEOUT: '0s' },
    });
    const [hung] = service.lines.filter(({ msg }) => msg === 'a worker serves').map(({ pid }) => Number(pid));
    assert.ok(hung);
    process.kill(hung, 'SIGSTOP');
    const { code } = await service.kill('SIGTERM');
    assert.equal(code, 0);
    assert.throws(() => process.kill(hung, 0), { code: 'ESRCH' });
    const killed = service.lines.filter(({ msg }) => msg.startsWith('a worker has not stopped in time'));
    assert.ok(killed.some(({ worker }) => worker === hung));
  });
});
