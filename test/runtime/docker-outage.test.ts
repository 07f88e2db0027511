import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isWarmpoolError } from '../../src/domain/errors.ts';
import { newSandboxId } from '../../src/domain/ids.ts';
import {
  ensureTinyImage,
  PrivateDockerEngine,
  privateEngineMissing,
  tinyImage,
} from '../support/docker-engine.ts';
import { DockerSandboxes, run, template } from '../support/docker-sandboxes.ts';

const answerMsMax = 20_000;

test('a Docker engine that goes away fails calls at once, and serves again after it came back', {
  skip: privateEngineMissing() ?? false,
}, async () => {
  await using engine = await PrivateDockerEngine.start();
  await ensureTinyImage(engine.dockerHost);
  await using sandboxes = new DockerSandboxes(engine.dockerHost);
  const { runtime } = sandboxes;
  const spec = template({ image: tinyImage, user: '' });
  const { id, link } = await sandboxes.boot(spec);

  await engine.crash();
  await link.closed;
  const request = { sandboxId: newSandboxId(0), pool: 'test', storeId: 'store-1', template: spec };
  const startedMs = performance.now();
  for (const call of [
    () => runtime.list(),
    () => runtime.prepare(spec),
    () => runtime.boot(request, new AbortController().signal),
    () => runtime.adopt(id),
    () => runtime.destroy(id),
  ]) {
    await assert.rejects(call, (error) => isWarmpoolError(error) && error.code === 'RUNTIME_UNAVAILABLE');
  }
  const report = await runtime.inspectHost();
  assert.ok(!report.usable && /did not answer/.test(report.reason));
  assert.ok(performance.now() - startedMs < answerMsMax);

  await engine.startAgain();
  const [object] = await runtime.list();
  assert.equal(object?.sandboxId, id);
  const again = await sandboxes.boot(spec);
  assert.equal((await run(again.link, ['/hello'], { user: '' })).stdout, 'hello\n');
  await runtime.destroy(id);
  assert.deepEqual(
    (await runtime.list()).map(({ sandboxId }) => sandboxId),
    [again.id],
  );
});
