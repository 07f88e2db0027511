import { readFileSync } from 'node:fs';
import { after, before, describe } from 'node:test';
import { dockerEngineMissing, ensureBaseImage, useDockerEngine } from '../support/docker-engine.ts';
import { fileAcceptance } from './file-acceptance.ts';
import { portAcceptance } from './port-acceptance.ts';
import { processAcceptance, type XgenPlace } from './process-acceptance.ts';
import { restAcceptance } from './rest-acceptance.ts';
import { basePool, XgenService } from './xgen-service.ts';

const noDocker = dockerEngineMissing() ?? false;

/** A file of 5 GB is allowed in half of it, which is what a home folder gets. */
const resources = { cpu: 1, memoryMb: 512, diskMb: 12_288, pids: 128 };

/** The acceptance once more, all of it against one service. */
describe('the xgen dialect on Docker', { skip: noDocker }, () => {
  let engine: Awaited<ReturnType<typeof useDockerEngine>>;
  let service: XgenService;
  /** Made before anything is listed. */
  const ids: string[] = [];
  before(async () => {
    engine = await useDockerEngine();
    await ensureBaseImage(engine.dockerHost);
    service = await XgenService.start({
      pools: [basePool(3, { resources })],
      env: {
        WARMPOOL_RUNTIME: 'docker',
        DOCKER_HOST: engine.dockerHost,
        // One client makes all the calls.
        WARMPOOL_XGEN_REQUESTS_PER_MINUTE: '0',
      },
    });
    for (let made = 0; made < 2; made++) ids.push((await service.create({ timeout_seconds: 86_400 })).id);
  });
  after(async () => {
    await service?.[Symbol.asyncDispose]();
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
  });

  function place(index: number): XgenPlace {
    return {
      connect: () => service.connect(ids[index] ?? ''),
      memoryBytes: () => residentBytes(service.service.process.pid),
    };
  }
});

function residentBytes(pid: number | undefined): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1_024;
}
