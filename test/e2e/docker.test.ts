import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import Docker from 'dockerode';
import { connect } from '../../src/client/grpc-client.ts';
import { isWarmpoolError } from '../../src/domain/errors.ts';
import {
  baseImage,
  dockerEngineMissing,
  ensureBaseImage,
  PrivateDockerEngine,
  privateEngineMissing,
  useDockerEngine,
} from '../support/docker-engine.ts';
import { RedisServer } from '../support/redis-server.ts';
import { requirement } from '../support/requirements.ts';
import { ServiceFolder, TestService } from '../support/service.ts';
import { untilNoTraces } from '../support/traces.ts';
import { until } from '../support/until.ts';
import { mainJob, smallPool, untilReady } from './main-job.ts';

const noDocker = dockerEngineMissing() ?? false;
const noRedis = (await requirement('redis')).skip;
const engine = noDocker === false ? await useDockerEngine() : null;
if (engine) await ensureBaseImage(engine.dockerHost);
const redis = noRedis === false ? await RedisServer.start({ aof: true }) : null;
after(async () => {
  await redis?.stop();
  await engine?.[Symbol.asyncDispose]();
});

const dockerHost = engine?.dockerHost ?? '';
const onDocker = { WARMPOOL_RUNTIME: 'docker', DOCKER_HOST: dockerHost };
const onDockerAndRedis = { ...onDocker, REDIS_URL: redis?.url ?? '' };

mainJob({
  name: 'docker and the embedded store',
  skip: noDocker,
  env: onDocker,
  runtime: 'docker',
  dockerHost,
});
mainJob({
  name: 'docker and Redis',
  skip: noDocker || noRedis,
  env: onDockerAndRedis,
  runtime: 'docker',
  dockerHost,
});

test('a pool whose image is missing says so, fails its creates, and fills once the image is there', {
  skip: noDocker,
}, async () => {
  const image = 'warmpool/not-there';
  const pools = [smallPool({ template: { runtime: 'docker', image }, size: { minReady: 1 } })];
  await using service = await TestService.start({ pools, env: onDocker });
  using client = connect(service.grpc);
  await assert.rejects(client.create('base'), (error) => {
    assert.ok(isWarmpoolError(error), String(error));
    assert.match(error.message, /warmpool\/not-there/);
    return true;
  });
  await service.logged('a sandbox did not boot');
  assert.match((await client.pool('base')).note, /boot/);

  const images = new Docker({ host: '', socketPath: dockerHost.slice('unix://'.length) });
  await images.getImage(baseImage).tag({ repo: image, tag: 'latest' });
  try {
    const { id: sandboxId } = await client.create('base', {}, { deadlineMs: 60_000 });
    assert.equal((await client.exec({ sandboxId, argv: ['echo', 'here'] })).stdout.toString(), 'here\n');
    await untilReady(client, 1);
  } finally {
    await images.getImage(image).remove();
  }
});

test('Docker gone and back: creates fail clearly in between, then work again without a restart', {
  skip: privateEngineMissing() ?? false,
}, async () => {
  await using own = await PrivateDockerEngine.start();
  await ensureBaseImage(own.dockerHost);
  using folder = new ServiceFolder([smallPool({ size: { minReady: 1 } })]);
  const env = { WARMPOOL_RUNTIME: 'docker', DOCKER_HOST: own.dockerHost };
  await using service = await TestService.start({ pools: [], folder, env });
  using client = connect(service.grpc);
  await untilReady(client, 1);
  await own.crash();
  await assert.rejects(
    async () => {
      // What was ready may be handed out before its lost link is noticed; it cannot be used either.
      const { id: sandboxId } = await client.create('base', {}, { deadlineMs: 30_000 });
      await client.exec({ sandboxId, argv: ['true'], timeoutMs: 20_000 });
      await client.create('base', {}, { deadlineMs: 30_000 });
    },
    (error) => isWarmpoolError(error) && error.code !== 'INTERNAL',
  );
  await untilReadyz(service, 503);
  const { reasons } = (await (await fetch(`${service.http}/readyz`)).json()) as { reasons: string[] };
  assert.deepEqual(reasons, ['no runtime answers (docker)']);
  await own.startAgain();
  await untilReadyz(service, 200);
  await untilReady(client, 1);
  const { id: sandboxId } = await client.create('base', {}, { deadlineMs: 60_000 });
  assert.equal((await client.exec({ sandboxId, argv: ['echo', 'back'] })).stdout.toString(), 'back\n');
  await service.kill('SIGTERM');
  await untilNoTraces(folder, own.dockerHost);
});

/** The service asks its runtimes every five seconds. */
function untilReadyz(service: TestService, status: number): Promise<void> {
  const isSo = async () => (await fetch(`${service.http}/readyz`)).status === status;
  return until(isSo, `readyz to become ${status}`);
}
