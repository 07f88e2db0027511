import { after } from 'node:test';
import { dockerEngineMissing, ensureBaseImage, useDockerEngine } from '../support/docker-engine.ts';
import { fileJob } from './file-job.ts';

const skip = dockerEngineMissing() ?? false;
const engine = skip === false ? await useDockerEngine() : null;
if (engine) await ensureBaseImage(engine.dockerHost);
after(() => engine?.[Symbol.asyncDispose]());

fileJob({
  name: 'Docker',
  skip,
  // The home gets about half of it.
  diskMb: 320,
  env: { WARMPOOL_RUNTIME: 'docker', DOCKER_HOST: engine?.dockerHost ?? '' },
});
