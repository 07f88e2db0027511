import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { test } from 'node:test';
import { connect, type WarmpoolClient } from '../../src/client/grpc-client.ts';
import { type GrpcServer, startGrpcServer } from '../../src/grpc/grpc-server.ts';
import { FakeAllocator } from '../support/fake-allocator.ts';
import { HealthClient } from '../support/health-client.ts';
import { until } from '../support/until.ts';

test('D19 draining lets calls finish, ends watches, refuses new ones, and frees the port', async () => {
  await withServer(async ({ server, client, address, allocator }) => {
    const { id: sandboxId } = await client.create('base');
    const running = client.execStream({ sandboxId, argv: ['trap'] }, () => {});
    await running.started;
    const renewals = client.keepAliveStream();
    await renewals.renew(sandboxId);
    const watching = client.watch({})[Symbol.asyncIterator]().next();
    await until(() => server.activeCalls === 3, 'all three are in progress');

    const drained = server.drain(60_000);
    await assert.rejects(watching, { code: 'DRAINING', details: { retryAfterMs: 1_000, facts: {} } });
    await assert.rejects(renewals.renew(sandboxId), { code: 'DRAINING' });
    const another = connect(address);
    await assert.rejects(another.get(sandboxId), { name: 'ServiceUnreachableError' });
    another.close();

    assert.equal(server.activeCalls, 1);
    running.signal(15);
    assert.equal((await running.exited).exitCode, 3);
    assert.deepEqual(allocator.processes[0]?.signals, [15]);
    await drained;
    const socket = connectTcp(server.address.port, server.address.host);
    const [error] = await once(socket, 'error');
    assert.equal(error.code, 'ECONNREFUSED');
  });
});

test('D19 what does not finish in time is cut, and its command killed', async () => {
  await withServer(async ({ server, client, allocator }) => {
    const { id: sandboxId } = await client.create('base');
    const running = client.execStream({ sandboxId, argv: ['hang'] }, () => {});
    await running.started;
    await server.drain(50);
    await assert.rejects(running.exited, { name: 'ServiceUnreachableError' });
    assert.equal((await allocator.processes[0]?.exited)?.signal, 9);
    assert.equal(server.activeCalls, 0);
  });
});

test('D19 idle connections, be they many, do not hold up draining', async () => {
  await withServer(async ({ server, address }) => {
    const idle = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const client = connect(address);
        await client.pools();
        return client;
      }),
    );
    const silent = connectTcp(server.address.port, server.address.host);
    await once(silent, 'connect');
    const startMs = performance.now();
    await server.drain(60_000);
    assert.ok(performance.now() - startMs < 30_000);
    silent.destroy();
    for (const client of idle) client.close();
  });
});

test('D19 health says what setServing was told, to those who ask and those who watch', async () => {
  await withServer(async ({ server, address }) => {
    using health = new HealthClient(address);
    for (const name of [
      '',
      'warmpool.v1.SandboxService',
      'warmpool.v1.ExecService',
      'warmpool.v1.FileService',
      'warmpool.v1.PoolService',
      'warmpool.v1.NodeService',
    ]) {
      assert.equal(await health.check(name), 'SERVING');
    }
    await assert.rejects(health.check('nope'), { code: 5 });
    const watching = health.watch('');
    assert.equal((await watching.next()).value, 'SERVING');
    server.setServing(false);
    assert.equal((await watching.next()).value, 'NOT_SERVING');
    server.setServing(true);
    assert.equal((await watching.next()).value, 'SERVING');
    const drained = server.drain(60_000);
    assert.equal((await watching.next()).value, 'NOT_SERVING');
    await drained;
  });
});

test('a port that is taken is an error that says which', async () => {
  await withServer(async ({ server }) => {
    const second = startGrpcServer({ allocator: new FakeAllocator(), keys: [] }, { listen: server.address });
    await assert.rejects(
      second,
      new RegExp(`cannot serve gRPC on 127\\.0\\.0\\.1, port ${server.address.port}: .*EADDRINUSE`),
    );
  });
});

interface Running {
  readonly server: GrpcServer;
  readonly client: WarmpoolClient;
  readonly allocator: FakeAllocator;
  readonly address: string;
}

async function withServer(task: (running: Running) => Promise<void>): Promise<void> {
  const allocator = new FakeAllocator();
  await using server = await startGrpcServer(
    { allocator, keys: [] },
    { listen: { host: '127.0.0.1', port: 0 } },
  );
  const address = `127.0.0.1:${server.address.port}`;
  using client = connect(address);
  await task({ server, client, allocator, address });
}
