#!/usr/bin/env node
// Makes the image warmpool/base in a Docker engine: `npm run image:base [-- options]`.
//
//   --docker-host URL   the engine; default DOCKER_HOST, else unix:///var/run/docker.sock
//   --tag NAME          what to call the image; default warmpool/base
//   --way WAY           auto (default), engine (the Dockerfile here) or debian (mmdebstrap and import)
//   --cache FOLDER      keep the root file system there, and use the one that is there
//
// `auto` builds with the engine where Docker Hub answers, and from Debian packages where it does not.
import { parseArgs } from 'node:util';
import { buildWithEngine, registryAnswers } from './engine-build.mjs';
import { importDebian } from './import-debian.mjs';
import { connect, say } from './report.mjs';

const { values } = parseArgs({
  options: {
    'docker-host': { type: 'string', default: process.env.DOCKER_HOST ?? 'unix:///var/run/docker.sock' },
    tag: { type: 'string', default: 'warmpool/base' },
    way: { type: 'string', default: 'auto' },
    cache: { type: 'string' },
  },
});

try {
  const startedMs = performance.now();
  const docker = await connect(values['docker-host']);
  await build(docker);
  const { Id, Size } = await docker.getImage(values.tag).inspect();
  const seconds = ((performance.now() - startedMs) / 1_000).toFixed(1);
  say(`${values.tag} is ${Id.slice(7, 19)}, ${(Size / 1e6).toFixed(0)} MB, after ${seconds} s`);
} catch (error) {
  say(`cannot build ${values.tag}: ${error.message}`);
  process.exitCode = 1;
}

async function build(docker) {
  const debian = () => importDebian(docker, { tag: values.tag, cacheFolder: values.cache ?? null });
  if (values.way === 'debian') return await debian();
  if (values.way === 'engine') return await buildWithEngine(docker, values.tag);
  if (values.way !== 'auto') throw new Error(`--way ${values.way}: it is auto, engine or debian`);
  if (!(await registryAnswers())) {
    say('no registry answers: making the image from Debian packages');
    return await debian();
  }
  try {
    return await buildWithEngine(docker, values.tag);
  } catch (error) {
    say(`the engine could not build it (${error.message}): making the image from Debian packages`);
    return await debian();
  }
}
