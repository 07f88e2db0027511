import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WarmpoolError } from '../../src/domain/errors.ts';
import { type Candidate, selectRuntime } from '../../src/runtime/select-runtime.ts';
import { poolSpec } from '../support/core.ts';
import { FakeRuntime } from '../support/fake-runtime.ts';

class ImagelessRuntime extends FakeRuntime {
  override prepare(): Promise<void> {
    return Promise.reject(new WarmpoolError('IMAGE_MISSING', 'the engine has no image "warmpool/base"'));
  }
}

const docker: Candidate = { usable: true, runtime: new FakeRuntime() };
const imageless: Candidate = { usable: true, runtime: new ImagelessRuntime() };
const bubblewrap: Candidate = { usable: true, runtime: new FakeRuntime() };
const noDocker: Candidate = { usable: false, reason: 'no engine answers' };
const noBubblewrap: Candidate = { usable: false, reason: 'bwrap is not on the PATH' };

test('auto is docker where an engine answers and has the image', async () => {
  const chosen = await selectRuntime(poolSpec(), 'auto', { docker, bubblewrap });
  assert.ok(chosen.kind === 'selected' && chosen.runtime === docker.runtime);
});

test('auto is bubblewrap where there is no engine, or no image in it, and says which', async () => {
  const noEngine = await selectRuntime(poolSpec(), 'auto', { docker: noDocker, bubblewrap });
  assert.ok(noEngine.kind === 'selected' && noEngine.runtime === bubblewrap.runtime);
  assert.equal(noEngine.why, 'no engine answers');
  const noImage = await selectRuntime(poolSpec(), 'auto', { docker: imageless, bubblewrap });
  assert.ok(noImage.kind === 'selected' && noImage.runtime === bubblewrap.runtime);
  assert.match(noImage.why, /has no image/);
});

test('auto with neither is no runtime, with both reasons', async () => {
  const none = await selectRuntime(poolSpec(), 'auto', { docker: noDocker, bubblewrap: noBubblewrap });
  assert.deepEqual(none, {
    kind: 'none',
    reason: 'docker: no engine answers; bubblewrap: bwrap is not on the PATH',
  });
  const noImage = await selectRuntime(poolSpec(), 'auto', { docker: imageless, bubblewrap: noBubblewrap });
  assert.ok(noImage.kind === 'none');
  assert.match(noImage.reason, /has no image.*bwrap is not on the PATH/);
});

test('a runtime that is named is that one or none: isolation is never another than was asked for', async () => {
  const byService = await selectRuntime(poolSpec(), 'docker', { docker: noDocker, bubblewrap });
  assert.deepEqual(byService, {
    kind: 'none',
    reason: 'docker is asked for but cannot be used: no engine answers',
  });
  const pool = poolSpec({ template: { runtime: 'bubblewrap' } });
  const byTemplate = await selectRuntime(pool, 'docker', { docker, bubblewrap: noBubblewrap });
  assert.ok(byTemplate.kind === 'none');
  // Named outright, docker is chosen without its image: the pool then says that the image is missing.
  const named = await selectRuntime(poolSpec(), 'docker', { docker: imageless, bubblewrap });
  assert.ok(named.kind === 'selected' && named.runtime === imageless.runtime);
});
