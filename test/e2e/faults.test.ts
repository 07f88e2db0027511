import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { connect, type WarmpoolClient } from '../../src/client/grpc-client.ts';
import { isWarmpoolError } from '../../src/domain/errors.ts';
import { RedisServer } from '../support/redis-server.ts';
import { requirement } from '../support/requirements.ts';
import { ServiceFolder, TestService } from '../support/service.ts';
import { untilNoTraces } from '../support/traces.ts';
import { until } from '../support/until.ts';
import { smallPool, untilReady } from './main-job.ts';

const noBubblewrap = (await requirement('bubblewrap')).skip;
const noRedis = (await requirement('redis')).skip;
const env = { WARMPOOL_RUNTIME: 'bubblewrap' };

describe('a service on bubblewrap', { skip: noBubblewrap }, () => {
  test('T10 Redis gone in the middle: UNAVAILABLE with a time to retry, then recovery without a restart and nothing leaked', {
    skip: noRedis,
  }, async () => {
    const redis = await RedisServer.start({ aof: true });
    after(() => redis.stop());
    using folder = new ServiceFolder([smallPool()]);
    await using service = await TestService.start({
      pools: [],
      folder,
      env: { ...env, REDIS_URL: redis.url },
    });
    using client = connect(service.grpc);
    await untilReady(client, 2);
    const { id: sandboxId } = await client.create('base');

    await redis.kill();
    await assert.rejects(client.create('base'), (error) => {
      assert.ok(isWarmpoolError(error), String(error));
      assert.equal(error.code, 'STORE_UNAVAILABLE');
      assert.ok((error.details.retryAfterMs ?? 0) > 0);
      return true;
    });
    assert.equal((await fetch(`${service.http}/healthz`)).status, 200);
    assert.equal((await fetch(`${service.http}/readyz`)).status, 503);

    await redis.restart();
    await untilServed(async () => void (await client.get(sandboxId)));
    assert.equal(
      (await client.exec({ sandboxId, argv: ['echo', 'still here'] })).stdout.toString(),
      'still here\n',
    );
    await untilReady(client, 2);
    await client.create('base');
    for await (const { id } of client.list()) await client.delete(id);
    await client.scalePool('base', { minReady: 0, maxReady: 0 });
    await untilNoTraces(folder);
  });

  test('a second SIGTERM ends the process at once, and the next start cleans up', async () => {
    using folder = new ServiceFolder([smallPool()]);
    await using service = await TestService.start({ pools: [], folder, env });
    {
      using client = connect(service.grpc);
      const { id: sandboxId } = await client.create('base');
      const running = client.execStream({ sandboxId, argv: ['sleep', '1000'] }, () => {});
      running.exited.catch(() => {});
      await running.started;
      service.process.kill('SIGTERM');
      await service.logged('draining');
      assert.deepEqual(await service.kill('SIGTERM'), { code: 143, signal: null });
    }
    await using again = await TestService.start({ pools: [], folder, env });
    using client = connect(again.grpc);
    await client.scalePool('base', { minReady: 0, maxReady: 0 });
    await untilNoTraces(folder);
  });

  test('a second service under the same node id is refused, and a killed one’s id is free again', {
    skip: noRedis,
  }, async () => {
    const redis = await RedisServer.start();
    after(() => redis.stop());
    const shared = { ...env, REDIS_URL: redis.url, WARMPOOL_NODE_ID: 'twin' };
    const pools = [smallPool({ size: { minReady: 1 } })];
    await using first = await TestService.start({ pools, env: shared });
    using client = connect(first.grpc);
    const { id: sandboxId } = await client.create('base');
    await assert.rejects(
      TestService.start({ pools, env: shared }),
      /another warmpool service uses this store as node "twin"/,
    );
    const said = await client.exec({ sandboxId, argv: ['echo', 'mine'] });
    assert.equal(said.stdout.toString(), 'mine\n');
    await first.kill('SIGKILL');
    await using again = await TestService.start({ pools, env: shared, folder: first.folder });
    using afterwards = connect(again.grpc);
    await afterwards.create('base');
  });
});

/** What one service is tried with, until it is told to end. It is told of an engine that it must not use. */
describe('a service beside an engine that cannot be used safely', { skip: noBubblewrap }, () => {
  const unready = { ...smallPool({ template: { ready: { exec: ['false'] } } }), name: 'unready' };
  let folder: ServiceFolder;
  let service: TestService;
  let client: WarmpoolClient;

  before(async () => {
    folder = new ServiceFolder([smallPool(), unready]);
    const remote = { DOCKER_HOST: 'tcp://127.0.0.1:1', WARMPOOL_RUNTIME: 'auto' };
    service = await TestService.start({ pools: [], folder, env: remote });
    client = connect(service.grpc);
  });
  after(async () => {
    client?.close();
    await service?.[Symbol.asyncDispose]();
    folder?.[Symbol.dispose]();
  });

  test('K9 the engine is said to be so, and is in nobody else’s way', async () => {
    const { why } = await service.logged('runtime chosen');
    assert.match(String(why), /^docker: .*client certificates/);
    await client.create('base');
    assert.equal((await fetch(`${service.http}/readyz`)).status, 200);
  });

  test('A19 without keys the service listens on loopback only, and says so', async () => {
    await service.logged('no API keys are configured');
    for (const address of [service.grpc, new URL(service.http).host]) assert.match(address, /^127\.0\.0\.1:/);
    const open = { ...env, WARMPOOL_GRPC_LISTEN: '0.0.0.0:0' };
    await assert.rejects(TestService.start({ pools: [smallPool()], env: open }), /no API key is configured/);
  });

  test('a second service on the same state folder is refused, and the first goes on', async () => {
    await assert.rejects(
      TestService.start({ pools: [], folder, env }),
      /another warmpool service uses the state folder/,
    );
    await client.create('base');
  });

  test('a pool whose readiness check never passes says why and takes no part', async () => {
    await assert.rejects(client.create('unready'), (error) => {
      assert.ok(isWarmpoolError(error) && error.code === 'BOOT_FAILED', String(error));
      assert.match(error.message, /ready command \["false"\] exited with 1/);
      return true;
    });
    assert.equal((await client.pool('unready')).ready, 0);
  });

  test('SIGHUP reads the pool files again: new ones fill, removed ones empty, a wrong file changes nothing', async () => {
    await untilReady(client, 2);
    folder.writePools([{ ...smallPool(), name: 'other' }]);
    service.process.kill('SIGHUP');
    await service.logged('pool files read again');
    assert.deepEqual(
      (await client.pools()).map((pool) => pool.name),
      ['other'],
    );
    assert.equal((await client.create('other')).template, 'other');
    await assert.rejects(
      client.create('base'),
      (error) => isWarmpoolError(error) && error.code === 'TEMPLATE_NOT_FOUND',
    );

    folder.writePools([{ name: 'other', size: { minReady: -1 } }]);
    service.process.kill('SIGHUP');
    await service.logged('were not read again');
    assert.equal((await client.create('other')).template, 'other');
  });

  test('D19 SIGTERM lets a call in flight finish, refuses new ones, and exits 0', async () => {
    const { id: sandboxId } = await client.create('other');
    const started: Buffer[] = [];
    const running = client.execStream(
      { sandboxId, argv: ['sh', '-c', 'echo up; read line; echo "$line"'] },
      (_, bytes) => {
        started.push(bytes);
      },
    );
    await running.started;
    const exited = service.kill('SIGTERM');
    await service.logged('draining');
    using late = connect(service.grpc);
    await assert.rejects(late.create('other'));
    await running.writeStdin(Buffer.from('finished\n'));
    running.endStdin();
    assert.equal((await running.exited).exitCode, 0);
    assert.equal(Buffer.concat(started).toString(), 'up\nfinished\n');
    assert.deepEqual(await exited, { code: 0, signal: null });
    await untilNoTraces(folder);
  });
});

test('with no runtime there is a clear error, never a sandbox without isolation', async () => {
  const nowhere = { WARMPOOL_RUNTIME: 'docker', DOCKER_HOST: 'unix:///nonexistent/docker.sock' };
  await assert.rejects(
    TestService.start({ pools: [smallPool()], env: nowhere }),
    /docker is asked for but cannot be used/,
  );
});

test('T2 a missing Redis at start is a clear error', async () => {
  const nowhere = { REDIS_URL: 'unix:///nonexistent/redis.sock' };
  await assert.rejects(TestService.start({ pools: [smallPool()], env: nowhere }), /store|redis/i);
});

/** Repeats while the store is said to be unavailable. */
function untilServed(call: () => Promise<void>): Promise<void> {
  return until(async () => {
    try {
      await call();
      return true;
    } catch (error) {
      if (isWarmpoolError(error) && error.code === 'STORE_UNAVAILABLE') return false;
      throw error;
    }
  }, 'the store to be available');
}
