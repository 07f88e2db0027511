import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { dockerEngineMissing, ensureBaseImage, useDockerEngine } from '../support/docker-engine.ts';
import { RedisServer } from '../support/redis-server.ts';
import { requirement } from '../support/requirements.ts';
import { ServiceFolder } from '../support/service.ts';
import { untilNoTraces } from '../support/traces.ts';
import { fileAcceptance } from './file-acceptance.ts';
import {
  limitAcceptance,
  metricsAcceptance,
  type PoolStand,
  poolAcceptance,
  restartAcceptance,
} from './pool-acceptance.ts';
import { portAcceptance } from './port-acceptance.ts';
import { previewAcceptance } from './preview-acceptance.ts';
import { processAcceptance, type XgenPlace } from './process-acceptance.ts';
import { restAcceptance } from './rest-acceptance.ts';
import { basePool, type SandboxObject, XgenService } from './xgen-service.ts';

const skip = (dockerEngineMissing() ?? false) || (await requirement('redis')).skip;

/** A file of 5 GB is allowed in half of it, which is what a home folder gets. */
const resources = { cpu: 1, memoryMb: 512, diskMb: 12_288, pids: 128 };

/** The acceptance once more, all of it against one service, with Redis: what is claimed there outlives its service. */
describe('the xgen dialect on Docker', { skip }, () => {
  let engine: Awaited<ReturnType<typeof useDockerEngine>>;
  let redis: RedisServer;
  let folder: ServiceFolder;
  let service: XgenService;
  /** Made before anything is listed. */
  const ids: string[] = [];
  const start = () =>
    XgenService.start({
      folder,
      env: { WARMPOOL_RUNTIME: 'docker', DOCKER_HOST: engine.dockerHost, REDIS_URL: redis.url },
    });
  before(async () => {
    [engine, redis] = await Promise.all([useDockerEngine(), RedisServer.start()]);
    await ensureBaseImage(engine.dockerHost);
    folder = new ServiceFolder([basePool(3, { resources })]);
    service = await start();
    for (let made = 0; made < 2; made++) ids.push((await service.create({ timeout_seconds: 86_400 })).id);
  });
  after(async () => {
    await service?.[Symbol.asyncDispose]();
    folder?.[Symbol.dispose]();
    await redis?.stop();
    await engine?.[Symbol.asyncDispose]();
  });

  describe('over its sockets: processes', () => processAcceptance(() => place(0)));
  // What these wait for is waited for at the same time. The one before looks at the memory of the service.
  describe('over its sockets and its calls', { concurrency: true }, () => {
    describe('files and ports', { concurrency: 1 }, () => {
      fileAcceptance(() => place(1));
      portAcceptance(() => place(1));
    });
    describe('calls', { concurrency: 1 }, () => restAcceptance(() => service));
    describe('previews and limits', { concurrency: 1 }, () => {
      previewAcceptance(() => service);
      limitAcceptance(() => service);
    });
  });
  describe('and its pool', () => {
    poolAcceptance(stand);
    metricsAcceptance(stand);
    restartAcceptance(stand, true);
    it('leaves nothing behind but what is claimed', async () => {
      const { body } = await service.call('GET', '/api/v1/sandboxes');
      for (const { id } of body as unknown as readonly SandboxObject[])
        assert.equal((await service.call('DELETE', `/api/v1/sandboxes/${id}`)).status, 204);
      await service.service.kill('SIGTERM');
      await untilNoTraces(folder, engine.dockerHost);
    });
  });

  function place(index: number): XgenPlace {
    return {
      connect: () => service.connect(ids[index] ?? ''),
      memoryBytes: () => residentBytes(service.service.process.pid),
    };
  }

  function stand(): PoolStand {
    const restart = async () => {
      await service.service.kill('SIGKILL');
      service = await start();
    };
    return { service, folder, dockerHost: engine.dockerHost, restart };
  }
});

function residentBytes(pid: number | undefined): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1_024;
}
