import assert from 'node:assert/strict';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { WebSocket } from 'ws';
import { bubblewrapAsRoot, eventually } from '../support/bubblewrap-sandboxes.ts';
import { ServiceFolder } from '../support/service.ts';
import { killFromOutside, untilNoTraces } from '../support/traces.ts';
import {
  limitAcceptance,
  manyCreates,
  metricsAcceptance,
  type PoolStand,
  poolAcceptance,
  restartAcceptance,
} from './pool-acceptance.ts';
import { previewAcceptance } from './preview-acceptance.ts';
import { restAcceptance } from './rest-acceptance.ts';
import { refusedUpgrade, T } from './xgen-client.ts';
import { basePool, keys, type SandboxObject, XgenService } from './xgen-service.ts';

/** One service for all of it, up to its end: a start costs more than most of these. */
describe('the xgen dialect of a whole service', { skip: (await bubblewrapAsRoot()).skip }, () => {
  let folder: ServiceFolder;
  let service: XgenService;
  const start = () => XgenService.start({ folder, env: { WARMPOOL_DRAIN_TIMEOUT: '8s' } });
  before(async () => {
    folder = new ServiceFolder([basePool(3)]);
    service = await start();
  });
  after(async () => {
    await service?.[Symbol.asyncDispose]();
    folder?.[Symbol.dispose]();
  });

  // What these wait for is waited for at the same time.
  describe('its calls', { concurrency: true }, () => {
    describe('of sandboxes', { concurrency: 1 }, () => restAcceptance(() => service));
    describe('of previews, and their limit', { concurrency: 1 }, () => {
      previewAcceptance(() => service);
      limitAcceptance(() => service);
    });
  });

  describe('the ends of its sockets', () => {
    it('the native subprotocol at the same address gives the native session', async () => {
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

    it('a sandbox that is killed from outside is told as failed, and its sockets close with 1011', async () => {
      const { id } = await service.create();
      using client = await service.connect(id);
      await killFromOutside(folder, null, id);
      assert.equal((await client.closed).code, 1011);
      assert.equal(client.frames.at(-1)?.type, T.sandboxError);
      assert.equal(client.frames.at(-1)?.map.code, 'sandbox_failed');
      await eventually(async () => (await service.get(id)).status === 'error', 'its record says so');
      const upgrade = async () => {
        const authorization = `ApiKey ${keys.admin}`;
        const { status, body } = await refusedUpgrade(service.socketUrl(id), { headers: { authorization } });
        return [status, body.code];
      };
      assert.deepEqual(await upgrade(), [409, 'SANDBOX_NOT_READY']);

      assert.equal((await service.call('DELETE', `/api/v1/sandboxes/${id}`)).status, 204);
      const listed = (await service.call('GET', '/api/v1/sandboxes')).body as unknown as SandboxObject[];
      assert.ok(!listed.some((each) => each.id === id), 'what was deleted is not there');
      for (const method of ['GET', 'DELETE']) {
        assert.equal((await service.call(method, `/api/v1/sandboxes/${id}`)).status, 404);
      }
      assert.deepEqual(await upgrade(), [404, 'SANDBOX_NOT_FOUND']);
    });
  });

  describe('its pool, and its end', () => {
    poolAcceptance(stand);
    manyCreates(() => service);
    metricsAcceptance(stand);
    restartAcceptance(stand, false);

    it('a service that stops closes its sockets with 1001, those that run nothing at once, and leaves nothing behind', async () => {
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
      await untilNoTraces(folder);
    });
  });

  function stand(): PoolStand {
    const restart = async () => {
      const { body } = await service.call('GET', '/api/v1/sandboxes');
      const [some] = body as unknown as readonly SandboxObject[];
      await service.service.kill('SIGKILL');
      // As if the end had come in the middle of a boot: what it was is not written down yet.
      rmSync(join(folder.state, 'bubblewrap/sandboxes', some?.id ?? '', 'sandbox.json'));
      service = await start();
    };
    return { service, folder, dockerHost: null, restart };
  }
});
