import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { armFailpoints, failpoint, failpointNames, onFailpoint } from '../../src/failpoints.ts';
import { TestService } from '../support/service.ts';

afterEach(() => onFailpoint(null));

test('T6 failpoints are off unless a test says that it is one', () => {
  assert.equal(armFailpoints({}), null);
  assert.equal(armFailpoints({ WARMPOOL_FAILPOINTS: '' }), null);
  assert.match(armFailpoints({ WARMPOOL_FAILPOINTS: 'bind' }) ?? '', /is for tests/);
  // Nothing was armed: this process goes on.
  for (const name of failpointNames) failpoint(name);
});

test('T6 a failpoint that is none, or a count that is none, is refused with the names that there are', () => {
  for (const wrong of ['nowhere', 'bind:0', 'bind:x', 'bind:-1', 'bind,', ':3']) {
    const said = armFailpoints({ WARMPOOL_FAILPOINTS: wrong, WARMPOOL_TEST_FAILPOINTS: 'on' });
    assert.match(said ?? '', /is none; name them as .* journal, kill, unmount, delete$/, wrong);
  }
});

test('T6 there are at least twelve failpoints, each with a name of its own', () => {
  assert.ok(failpointNames.length >= 12);
  assert.equal(new Set(failpointNames).size, failpointNames.length);
});

test('T6 a service with a stray setting refuses to start', async () => {
  const start = TestService.start({ pools: [{ name: 'base' }], env: { WARMPOOL_FAILPOINTS: 'bind' } });
  await assert.rejects(start, /WARMPOOL_FAILPOINTS ends this process on purpose/);
});
