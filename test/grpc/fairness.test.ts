import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { connect } from '../../src/client/grpc-client.ts';
import { noLimits, TenantCatalog } from '../../src/domain/tenant-limits.ts';
import { startGrpcServer } from '../../src/grpc/grpc-server.ts';
import { poolSpec, startCore } from '../support/core.ts';
import { SilentLog } from '../support/silent-log.ts';

/** Refusals as a client gets them: over a real server, from the real allocator. */

const tenants = new TenantCatalog({
  named: {},
  others: { ...noLimits, maxRunning: 2, createsPerSecond: 0.001, createsBurst: 4 },
});
const core = await startCore({
  pools: [
    poolSpec({ size: { minReady: 4 } }),
    poolSpec({ name: 'waits', size: { minReady: 0, onMiss: 'wait' }, waiting: { max: 0 } }),
  ],
  limitsOf: (tenant) => tenants.limitsOf(tenant),
});
const server = await startGrpcServer(
  { allocator: core.allocator, keys: [], log: new SilentLog() },
  { listen: { host: '127.0.0.1', port: 0 } },
);
const client = connect(`${server.address.host}:${server.address.port}`);
after(async () => {
  client.close();
  await server[Symbol.asyncDispose]();
  await core[Symbol.asyncDispose]();
});

test('refusals name the reason, the quota, the limit and what is in use, and RetryInfo where a time is known', async () => {
  const first = await client.create('base');
  await client.create('base');
  await assert.rejects(client.create('base'), {
    code: 'QUOTA_EXCEEDED',
    details: { facts: { quota: 'running', limit: '2', current: '2' } },
  });
  await client.delete(first.id);
  await assert.rejects(client.create('waits'), {
    code: 'NO_CAPACITY',
    details: { retryAfterMs: 1_000, facts: { pool: 'waits', why: 'queue_full' } },
  });
  const third = await client.create('base');
  await client.delete(third.id);
  await assert.rejects(client.create('base'), (error: unknown) => {
    const { code, details } = error as { code: string; details: { retryAfterMs?: number; facts: object } };
    assert.equal(code, 'QUOTA_EXCEEDED');
    assert.deepEqual(details.facts, { quota: 'creates_per_second', limit: '0.001', current: '4' });
    assert.ok((details.retryAfterMs ?? 0) > 60_000);
    return true;
  });
  const { waiting, counters } = await client.pool('base');
  assert.deepEqual([waiting, counters.missesOverLimit], [0, 2]);
});
