import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { isWarmpoolError } from '../../src/domain/errors.ts';
import {
  dockerEngineMissing,
  ensureTinyImage,
  type TestEngine,
  tinyImage,
  useDockerEngine,
} from '../support/docker-engine.ts';
import { compileHello, importTinyImage } from '../support/docker-images.ts';
import { bootRequest, DockerSandboxes, hasCode, run, template } from '../support/docker-sandboxes.ts';

describe('images as templates of a Docker engine', { skip: dockerEngineMissing() ?? false }, () => {
  let engine: TestEngine;
  let sandboxes: DockerSandboxes;

  before(async () => {
    engine = await useDockerEngine();
    await ensureTinyImage(engine.dockerHost);
    sandboxes = new DockerSandboxes(engine.dockerHost);
  });

  after(async () => {
    await sandboxes?.[Symbol.asyncDispose]();
    await engine?.[Symbol.asyncDispose]();
  });

  test('a missing image is said with what to run, and leaves nothing', async () => {
    const missing = template({ image: 'warmpool/base-of-nowhere' });
    await assert.rejects(sandboxes.runtime.prepare(missing), (error) => {
      assert.ok(isWarmpoolError(error));
      assert.equal(error.code, 'IMAGE_MISSING');
      assert.match(error.message, /npm run image:base/);
      return true;
    });
    await assert.rejects(
      sandboxes.runtime.boot(bootRequest(missing), new AbortController().signal),
      hasCode('IMAGE_MISSING'),
    );
    await assert.rejects(
      sandboxes.runtime.prepare(template({ image: 'example.org/a:b' })),
      /docker pull example\.org\/a:b/,
    );
    assert.deepEqual(await sandboxes.runtime.list(), []);
  });

  test('an OCI runtime the engine does not have is refused when the template is prepared', async () => {
    await assert.rejects(sandboxes.runtime.prepare(template({ ociRuntime: 'kata' })), (error) => {
      assert.ok(isWarmpoolError(error));
      assert.equal(error.code, 'UNSUPPORTED');
      assert.match(error.message, /"kata"; it has .*runc/);
      return true;
    });
  });

  test('an image of one static program works as a template', async () => {
    const { id, link } = await sandboxes.boot(template({ image: tinyImage, user: '', cwd: '/' }));
    const { exit, stdout } = await run(link, ['/hello'], { user: '' });
    assert.equal(exit.exitCode, 0);
    assert.equal(stdout, 'hello\n');
    await sandboxes.runtime.destroy(id);
  });

  test("an image's own user, folder, entry point, health check and volumes change nothing", async () => {
    const image = 'warmpool/test-odd';
    const volumes = await sandboxes.volumeNames();
    await importTinyImage(engine.dockerHost, image, [
      'USER 12345',
      'WORKDIR /proc/self/fd/7',
      'ENTRYPOINT ["/hello"]',
      'HEALTHCHECK --interval=1s CMD /hello',
      'VOLUME /data',
      'LABEL warmpool.node=stranger',
    ]);
    const { id, link } = await sandboxes.boot(template({ image, user: '' }));
    assert.equal((await run(link, ['/hello'], { user: '', cwd: '/data' })).stdout, 'hello\n');
    const { Config, State, Mounts } = await sandboxes.container(id).inspect();
    assert.equal(Config.Labels['warmpool.node'], sandboxes.nodeId);
    assert.equal(Config.WorkingDir, '/');
    assert.equal(State.Health, undefined);
    assert.deepEqual(Mounts, []);
    assert.deepEqual(await sandboxes.volumeNames(), volumes);
    await sandboxes.runtime.destroy(id);
    await sandboxes.removeImage(image);
  });

  test('preparing at the same time makes one image, and one that was removed is made again', async () => {
    await importTinyImage(engine.dockerHost, 'warmpool/test-once', ['LABEL once=1']);
    const spec = template({ image: 'warmpool/test-once', user: '' });
    const { Id: source } = await sandboxes.docker.getImage('warmpool/test-once').inspect();
    // Of this image only: other tests prepare theirs on the same engine meanwhile.
    const prepared = async () =>
      (await sandboxes.docker.listImages({ filters: { reference: ['warmpool/prepared'] } }))
        .filter(({ ParentId }) => ParentId === source)
        .map(({ Id }) => Id);
    const before = new Set(await prepared());
    await Promise.all([1, 2, 3, 4].map(() => sandboxes.runtime.prepare(spec)));
    const made = (await prepared()).filter((id) => !before.has(id));
    assert.equal(made.length, 1);
    await sandboxes.docker.getImage(made[0] ?? '').remove({ force: true });
    const { id } = await sandboxes.boot(spec);
    await sandboxes.runtime.destroy(id);
    const again = (await prepared()).filter((image) => !before.has(image));
    assert.equal(again.length, 1);
    await sandboxes.removeImage('warmpool/test-once');
  });

  test('a new guest replaces what was prepared with the old one, unless a sandbox still runs on it', async () => {
    const image = 'warmpool/test-upgraded';
    await importTinyImage(engine.dockerHost, image, ['LABEL upgraded=1']);
    const spec = template({ image, user: '' });
    const { Id } = await sandboxes.docker.getImage(image).inspect();
    const preparedCount = async () =>
      (await sandboxes.docker.listImages({ filters: { reference: ['warmpool/prepared'] } })).filter(
        ({ ParentId }) => ParentId === Id,
      ).length;
    const folder = await mkdtemp(join(tmpdir(), 'warmpool-guest-'));
    try {
      await writeFile(join(folder, 'old'), await compileHello());
      await using oldRuntime = sandboxes.newRuntime(join(folder, 'old'));
      await oldRuntime.prepare(spec);
      const { id } = await sandboxes.boot(spec);
      assert.equal(await preparedCount(), 1);
      await oldRuntime.prepare(spec);
      assert.equal(await preparedCount(), 2);
      await sandboxes.runtime.destroy(id);
    } finally {
      await rm(folder, { recursive: true });
      await sandboxes.removeImage(image);
    }
  });
});
