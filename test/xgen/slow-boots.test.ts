import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { bubblewrapAsRoot, eventually } from '../support/bubblewrap-sandboxes.ts';
import { XgenClient } from './xgen-client.ts';
import { basePool, keys, type SandboxObject, XgenService } from './xgen-service.ts';

/** Longer than a create waits for its answer, and well below what an upgrade waits for a sandbox. */
const bootSeconds = 5;

describe('an xgen sandbox that takes its time to boot', { skip: (await bubblewrapAsRoot()).skip }, () => {
  let service: XgenService;
  before(async () => {
    const slow = basePool(0, { warmup: [['sleep', String(bootSeconds)]] });
    const broken = { ...basePool(0, { warmup: [['false']] }), name: 'broken' };
    service = await XgenService.start({ pools: [slow, broken] });
  });
  after(() => service?.[Symbol.asyncDispose]());

  it('4. and 5. is answered as starting after 2 s, and commands and sockets wait for it', async () => {
    const created = await service.call('POST', '/api/v1/sandboxes', { body: { timeout_seconds: 600 } });
    const { id, status, created_at, expires_at } = created.body as SandboxObject;
    assert.deepEqual([created.status, status, created.headers.get('x-warmpool')], [201, 'starting', 'miss']);
    assert.equal(Date.parse(expires_at) - Date.parse(created_at), 600_000);
    assert.equal((await service.get(id)).status, 'starting');
    const listed = (await service.call('GET', '/api/v1/sandboxes')).body as unknown as SandboxObject[];
    assert.deepEqual(
      listed.map((each) => [each.id, each.status]),
      [[id, 'starting']],
    );
    assert.deepEqual((await service.call('GET', `/api/v1/sandboxes/${id}/services`)).body, []);
    const [exec, client] = await Promise.all([
      service.call('POST', `/api/v1/sandboxes/${id}/exec`, { body: { command: 'echo', args: ['up'] } }),
      XgenClient.connect(service.socketUrl(id), { headers: { authorization: `ApiKey ${keys.admin}` } }),
    ]);
    using _ = client;
    assert.equal(exec.body.stdout, 'up\n');
    assert.equal((await client.exec(5, 'true')).exitCode, 0);
    assert.equal((await service.get(id)).status, 'running');
    const ofCreate = async () =>
      Math.abs(Date.parse((await service.get(id)).expires_at) - Date.parse(expires_at));
    await eventually(
      async () => (await ofCreate()) < 1_000,
      'its time counts from the create, not from the boot',
    );
    const metrics = await (await fetch(`${service.origin}/metrics`)).text();
    assert.match(metrics, /^xgen_sandbox_pod_create_duration_seconds_bucket\{le="2"\} 0$/m);
    assert.match(metrics, /^xgen_sandbox_pod_create_duration_seconds_count 1$/m);
  });

  it('3. a create that cannot be served is 503 with the reason and the template', async () => {
    const body = { template: 'broken' };
    const failed = await service.call('POST', '/api/v1/sandboxes', { body });
    assert.deepEqual([failed.status, failed.body.code], [503, 'POD_CREATE_FAILED']);
    assert.deepEqual(JSON.parse(String(failed.body.details)), { reason: 'boot_failed', template: 'broken' });
    const v2 = await service.call('POST', '/api/v2/sandboxes', { body });
    assert.deepEqual(
      [v2.status, v2.body.retryable, v2.body.details],
      [503, true, { reason: 'boot_failed', template: 'broken' }],
    );
  });
});
