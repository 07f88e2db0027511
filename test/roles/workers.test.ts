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
    service = await split.start('all', { env: { WARMPOOL_WORKERS: '2' } });
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

  test('goes on while one of them is killed, and has two again', async () => {
    const [doomed = 0] = workerPids();
    process.kill(doomed, 'SIGKILL');
    // Until then it may still be handed a connection, as any server may that dies in the middle of a call.
    await service.logged('a worker has ended');
    await useOnce();
    await until(() => workerPids().length === 3, 'another worker in its place');
    for (let count = 0; count < 4; count += 1) await useOnce();
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
