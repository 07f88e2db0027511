import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BubblewrapSandboxes, bubblewrapAsRoot, hostTemplate } from '../support/bubblewrap-sandboxes.ts';

const { skip } = await bubblewrapAsRoot();

test('T6 I6 what a start left that died while it tried bubblewrap out is removed by the next one, whoever carries the pools', {
  skip,
}, async () => {
  await using sandboxes = new BubblewrapSandboxes();
  const { id } = await sandboxes.boot();
  // As a probe that its process did not live to remove.
  await sandboxes.boot(hostTemplate(), 'probe1x1');
  // The next start may give all its pools to another runtime: then nobody lists what bubblewrap has.
  const next = sandboxes.newRuntime();
  const report = await next.inspectHost();
  assert.ok(report.usable);
  assert.deepEqual(
    (await next.list()).map(({ sandboxId }) => sandboxId),
    [id],
  );
});
