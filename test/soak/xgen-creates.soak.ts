import { after, before, describe } from 'node:test';
import { dockerEngineMissing, ensureBaseImage, useDockerEngine } from '../support/docker-engine.ts';
import { manyCreates } from '../xgen/pool-acceptance.ts';
import { basePool, XgenService } from '../xgen/xgen-service.ts';

/** The one row of the acceptance that takes a container engine a minute. */
describe('the xgen dialect on Docker', { skip: dockerEngineMissing() ?? false }, () => {
  let engine: Awaited<ReturnType<typeof useDockerEngine>>;
  let service: XgenService;
  before(async () => {
    engine = await useDockerEngine();
    await ensureBaseImage(engine.dockerHost);
    service = await XgenService.start({
      pools: [basePool(3)],
      env: { WARMPOOL_RUNTIME: 'docker', DOCKER_HOST: engine.dockerHost },
    });
  });
  after(async () => {
    await service?.[Symbol.asyncDispose]();
    await engine?.[Symbol.asyncDispose]();
  });
  manyCreates(() => service);
});
