import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { dockerEngineMissing, type TestEngine, useDockerEngine } from '../support/docker-engine.ts';
import { DockerSandboxes, run } from '../support/docker-sandboxes.ts';

describe('sandboxes in a Docker engine', { skip: dockerEngineMissing() ?? false }, () => {
  let engine: TestEngine;
  let sandboxes: DockerSandboxes;

  before(async () => {
    engine = await useDockerEngine();
    sandboxes = await DockerSandboxes.onBaseImage(engine.dockerHost);
  });

  after(async () => {
    await sandboxes?.[Symbol.asyncDispose]();
    await engine?.[Symbol.asyncDispose]();
  });

  test('a sandbox boots, answers Hello, and runs a command as its user', async () => {
    const { id, link } = await sandboxes.boot();
    const { exit, stdout } = await run(link, ['bash', '-c', 'id -un; pwd; touch x && ls'], {
      cwd: '/home/user',
    });
    assert.equal(exit.exitCode, 0);
    assert.equal(stdout, 'user\n/home/user\nx\n');
    await sandboxes.runtime.destroy(id);
  });
});
