import assert from 'node:assert/strict';
import { test } from 'node:test';
import { grpcFixture } from '../support/grpc-fixture.ts';

const fixture = await grpcFixture();

test('creates, reads, runs a command in and deletes a sandbox', async () => {
  const { client } = fixture;
  const created = await client.create('base', { metadata: { owner: 'me' }, timeoutMs: 60_000 });
  assert.equal(created.state, 'running');
  assert.equal(created.remainingMs, 60_000);
  assert.deepEqual(created.metadata, { owner: 'me' });
  const { repeated, ...sandbox } = created;
  assert.equal(repeated, false);
  assert.deepEqual(await client.get(created.id), sandbox);
  const done = await client.exec({ sandboxId: created.id, argv: ['echo', 'hello'] });
  assert.equal(done.stdout.toString(), 'hello\n');
  assert.equal(done.exitCode, 0);
  await client.delete(created.id);
  await assert.rejects(client.get(created.id), { code: 'SANDBOX_NOT_FOUND' });
});
