import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connect } from '../../src/client/grpc-client.ts';
import { isWarmpoolError } from '../../src/domain/errors.ts';
import { ServiceFolder, TestService } from '../support/service.ts';
import { killFromOutside, untilNoTraces } from '../support/traces.ts';
import { eachRuntime } from './each-runtime.ts';

/**
 * T14: what runs in a sandbox takes all that it can, or is killed behind the service's back. The sandboxes beside it and the
 * service go on, and whoever calls is told. That the engine dies is in `test/runtime/docker-outage.test.ts`.
 */

const pool = {
  name: 'base',
  template: { resources: { cpu: 1, memoryMb: 64, diskMb: 16, pids: 32 } },
  size: { minReady: 2, maxReady: 4, maxTotal: 12, targetHitRatio: 0 },
  lease: { ttl: '5m' },
};

const hogs: Readonly<Record<string, string>> = {
  'forks without end': 'f() { f | f & }; f; sleep 3; exit 3',
  'takes all memory': 'x=a; while :; do x="$x$x"; done',
  'fills its disk': 'while :; do cat /dev/zero >>big || exit 4; done',
  'opens all descriptors': 'i=3; while :; do eval "exec $i</dev/null" || exit 5; i=$((i+1)); done',
};

for (const { name, dockerHost, env } of await eachRuntime()) {
  describe(`T14 on ${name}`, () => {
    for (const [what, script] of Object.entries(hogs)) {
      test(`T14 R6 a sandbox that ${what} harms no other one, and its caller is told`, async (context) => {
        using folder = new ServiceFolder([pool]);
        await using service = await TestService.start({ pools: [], folder, env });
        using client = connect(service.grpc);
        const [{ id: bad }, { id: good }] = [await client.create('base'), await client.create('base')];
        const told = await client
          .exec({ sandboxId: bad, argv: ['sh', '-c', script], timeoutMs: 15_000 }, { deadlineMs: 60_000 })
          .then(
            ({ exitCode, signal, timedOut }) => `exit ${exitCode}, signal ${signal}, timed out ${timedOut}`,
            (error: unknown) => (isWarmpoolError(error) ? error.code : String(error)),
          );
        context.diagnostic(told);
        assert.notEqual(told, 'exit 0, signal null, timed out false');
        const said = await client.exec({ sandboxId: good, argv: ['echo', 'well'] });
        assert.equal(said.stdout.toString(), 'well\n');
        assert.equal((await fetch(`${service.http}/readyz`)).status, 200);
        await client.delete(bad);
        await client.delete(good);
        await client.scalePool('base', { minReady: 0, maxReady: 0 });
        await untilNoTraces(folder, dockerHost);
      });
    }

    test('T14 I7 sandboxes that are killed from outside are failed ones within 30 s, and the pool fills again', async (context) => {
      using folder = new ServiceFolder([pool]);
      await using service = await TestService.start({ pools: [], folder, env });
      using client = connect(service.grpc);
      const { id } = await client.create('base');
      await client.exec({ sandboxId: id, argv: ['true'] });
      const killedMs = performance.now();
      await killFromOutside(folder, dockerHost);
      for (;;) {
        const state = await client.get(id).then(
          (view) => view.state,
          () => 'failed',
        );
        if (state === 'failed') break;
        assert.ok(performance.now() < killedMs + 90_000, state);
        await new Promise<void>((resolve) => setTimeout(resolve, 50));
      }
      context.diagnostic(`told after ${Math.round(performance.now() - killedMs)} ms`);
      await assert.rejects(client.exec({ sandboxId: id, argv: ['true'] }));
      const { id: next } = await client.create('base');
      assert.equal((await client.exec({ sandboxId: next, argv: ['true'] })).exitCode, 0);
    });
  });
}
