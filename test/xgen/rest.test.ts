import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';
import { WebSocket } from 'ws';
import { bubblewrapAsRoot, eventually } from '../support/bubblewrap-sandboxes.ts';
import { killFromOutside } from '../support/traces.ts';
import { execOf, restAcceptance } from './rest-acceptance.ts';
import { refusedUpgrade, T } from './xgen-client.ts';
import { keys, XgenService } from './xgen-service.ts';

const { skip } = await bubblewrapAsRoot();

describe('the xgen dialect of a whole service', { skip }, () => {
  let service: XgenService;
  before(async () => {
    service = await XgenService.start({ minReady: 3 });
  });
  after(() => service[Symbol.asyncDispose]());

  restAcceptance(() => service);
});

describe('the ends of xgen sockets', { skip }, () => {
  it('the native subprotocol at the same address gives the native session', async () => {
    await using service = await XgenService.start({ minReady: 1 });
    const { id } = await service.create();
    const socket = new WebSocket(service.socketUrl(id), 'warmpool.v1', {
      headers: { authorization: `Bearer ${keys.admin}` },
    });
    const [ready] = await once(socket, 'message');
    assert.equal(socket.protocol, 'warmpool.v1');
    assert.equal(ready[0], 0x50);
    assert.ok(ready.length > 9, 'the native Ready has a payload');
    socket.terminate();
  });

  it('a service that stops closes its sockets with 1001, those that run nothing at once', async () => {
    await using service = await XgenService.start({ minReady: 1, env: { WARMPOOL_DRAIN_TIMEOUT: '8s' } });
    const { id } = await service.create();
    using idle = await service.connect(id);
    using busy = await service.connect(id);
    busy.send(T.start, 5, 0, { command: 'cat' });
    await busy.find(({ type }) => type === T.ack);
    service.service.process.kill('SIGTERM');
    assert.equal((await idle.closed).code, 1001);
    busy.send(T.stdin, 5, 0, Buffer.from('still\n'));
    assert.equal(await busy.output(5, 'still'), 'still\n');
    assert.equal((await busy.closed).code, 1001);
    // A second signal, as the end of the test would send it, would cut the drain short.
    await service.service.exited;
  });

  it('a sandbox that is killed from outside is told as failed, and its sockets close with 1011', async () => {
    await using service = await XgenService.start({ minReady: 1 });
    const { id } = await service.create();
    using client = await service.connect(id);
    await killFromOutside(service.service.folder, null);
    assert.equal((await client.closed).code, 1011);
    assert.equal(client.frames.at(-1)?.type, T.sandboxError);
    assert.equal(client.frames.at(-1)?.map.code, 'sandbox_failed');
    await eventually(async () => (await service.get(id)).status === 'error', 'its record says so');
    const refused = await refusedUpgrade(service.socketUrl(id), {
      headers: { authorization: `ApiKey ${keys.admin}` },
    });
    assert.deepEqual([refused.status, refused.body.code], [409, 'SANDBOX_NOT_READY']);

    assert.equal((await service.call('DELETE', `/api/v1/sandboxes/${id}`)).status, 204);
    assert.deepEqual(
      (await service.call('GET', '/api/v1/sandboxes')).body,
      [],
      'what was deleted is not there',
    );
    for (const method of ['GET', 'DELETE']) {
      assert.equal((await service.call(method, `/api/v1/sandboxes/${id}`)).status, 404);
    }
    const late = await refusedUpgrade(service.socketUrl(id), {
      headers: { authorization: `ApiKey ${keys.admin}` },
    });
    assert.deepEqual([late.status, late.body.code], [404, 'SANDBOX_NOT_FOUND']);
  });
});

describe('the limits and the pool of the xgen dialect', { skip }, () => {
  it('24. the 121st request of a client within 60 s is 429, and other clients are not affected', async () => {
    await using service = await XgenService.start({ minReady: 0 });
    const ask = (key: string) => service.call('GET', '/api/v1/sandboxes', { key });
    for (let count = 0; count < 120; count++) assert.equal((await ask(keys.user)).status, 200);
    const over = await ask(keys.user);
    assert.deepEqual([over.status, over.body.code], [429, 'QUOTA_EXCEEDED']);
    const retryAfterMs = JSON.parse(String(over.body.details)).retry_after_ms;
    assert.ok(retryAfterMs > 0 && retryAfterMs <= 60_000);
    assert.equal(Number(over.headers.get('retry-after')), Math.ceil(retryAfterMs / 1_000));
    assert.equal((await ask(keys.admin)).status, 200);
    const upgrade = await refusedUpgrade(service.socketUrl('00aaaaaaaaaaaaaaaaaa'), {
      headers: { authorization: `ApiKey ${keys.user}` },
    });
    assert.equal(upgrade.status, 429);
    assert.equal((await service.call('GET', '/xgen/api/v1/nothing')).status, 404);
  });

  it('26. the five published series count patterns, never ids, and active is 0 when all are deleted', async () => {
    await using service = await XgenService.start({ minReady: 1 });
    const metric = async (line: RegExp) => {
      const text = await (await fetch(`${service.origin}/metrics`)).text();
      return Number(line.exec(text)?.[1] ?? Number.NaN);
    };
    const [one, two] = [await service.create(), await service.create()];
    assert.equal(await metric(/^xgen_sandboxes_active (\d+)$/m), 2);
    for (const { id } of [one, two]) await service.call('DELETE', `/api/v1/sandboxes/${id}`);
    const unknown = '/xgen/api/v1/sandboxes/00aaaaaaaaaaaaaaaaaa';
    assert.equal((await service.call('DELETE', unknown)).status, 404);
    assert.equal(await metric(/^xgen_sandboxes_active (\d+)$/m), 0);
    assert.equal(await metric(/^xgen_sandbox_create_total (\d+)$/m), 2);
    await eventually(
      async () => (await metric(/^xgen_sandbox_delete_total (\d+)$/m)) === 2,
      'both are counted',
    );
    const deletes =
      /^xgen_http_requests_total\{method="DELETE",path="\/api\/v1\/sandboxes\/\{id\}",status="204"\} (\d+)$/m;
    await eventually(async () => (await metric(deletes)) === 2, 'both requests are counted');
    const posts = /^xgen_http_request_duration_seconds_count\{method="POST",[^}]*\} (\d+)$/m;
    await eventually(async () => (await metric(posts)) === 2, 'so are those of the creates');
    const text = await (await fetch(`${service.origin}/metrics`)).text();
    assert.ok(!text.includes(one.id), 'no id is a label');
  });

  it('28. creates from a full pool are hits that run at once and see their environment', async () => {
    await using service = await XgenService.start({ minReady: 3 });
    await eventually(() => isFull(service, 3), 'the pool is full');
    const creates = await Promise.all(
      Array.from({ length: 3 }, (_, index) =>
        service.call('POST', '/api/v1/sandboxes', { body: { env: { WHICH: `${index}` } } }),
      ),
    );
    for (const [index, created] of creates.entries()) {
      assert.equal(created.headers.get('x-warmpool'), 'hit');
      assert.equal(created.body.status, 'running');
      const exec = execOf(service, String(created.body.id));
      assert.equal((await exec({ command: 'sh', args: ['-c', 'echo $WHICH'] })).body.stdout, `${index}\n`);
    }
  });
});

async function isFull(service: XgenService, target: number): Promise<boolean> {
  const metrics = await (await fetch(`${service.origin}/metrics`)).text();
  return Number(/^warmpool_pool_ready\{[^}]*\} (\d+)$/m.exec(metrics)?.[1] ?? 0) >= target;
}
