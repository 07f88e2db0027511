import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { connect, type WarmpoolClient } from '../../src/client/grpc-client.ts';
import type { PoolSummary } from '../../src/client/views.ts';
import { Deferred } from '../../src/deferred.ts';
import { isWarmpoolError } from '../../src/domain/errors.ts';
import { type PoolFile, ServiceFolder, TestService } from '../support/service.ts';
import { killFromOutside, tracesOf, untilNoTraces } from '../support/traces.ts';
import { until } from '../support/until.ts';

/** One way to run the service: a runtime and a store, both real. */
export interface Setup {
  readonly name: string;
  readonly skip: string | false;
  readonly env: Readonly<Record<string, string>>;
  readonly runtime: 'docker' | 'bubblewrap';
  readonly dockerHost: string | null;
}

export function smallPool(change: { size?: object; template?: object; lease?: object } = {}): PoolFile {
  return {
    name: 'base',
    // As long as a client waits: a machine that boots a dozen at once may take more than the default for one.
    template: {
      resources: { cpu: 1, memoryMb: 128, diskMb: 64, pids: 64 },
      bootTimeout: '1m',
      ...change.template,
    },
    // How many are ready is what these tests say, not what their load asks for.
    size: { minReady: 2, maxReady: 4, maxTotal: 12, targetHitRatio: 0, ...change.size },
    lease: { ttl: '5m', ...change.lease },
  };
}

/**
 * The main job, end to end, as a client sees it. The same facts must hold whatever carries them. One service serves them
 * all, as it would its clients: a start costs more than most of them.
 */
export function mainJob(setup: Setup): void {
  describe(`on ${setup.name}`, { skip: setup.skip }, () => {
    // Of the second nothing is there that nobody has asked for.
    const pools = [
      smallPool({ size: { maxTotal: 8 } }),
      { ...smallPool({ size: { minReady: 0 } }), name: 'cold' },
    ];
    let folder: ServiceFolder;
    let service: TestService;
    let client: WarmpoolClient;

    before(async () => {
      folder = new ServiceFolder(pools);
      service = await TestService.start({ pools: [], folder, env: setup.env });
      client = connect(service.grpc);
    });
    after(async () => {
      client?.close();
      await service?.[Symbol.asyncDispose]();
      folder?.[Symbol.dispose]();
    });

    test('a client creates, runs a command, keeps alive, deletes', async () => {
      await untilReady(client, 2);
      const sandbox = await client.create('base', { env: { GREETING: 'hello' }, metadata: { job: '1' } });
      assert.deepEqual([sandbox.state, sandbox.launch], ['running', 'warm']);
      const said = await client.exec({
        sandboxId: sandbox.id,
        argv: ['sh', '-c', 'echo "$GREETING $(id -un) $(pwd)"; echo oops >&2; exit 3'],
      });
      assert.equal(said.stdout.toString(), 'hello user /home/user\n');
      assert.equal(said.stderr.toString(), 'oops\n');
      assert.equal(said.exitCode, 3);

      const kept = await client.keepAlive(sandbox.id, 3_600_000);
      assert.ok((kept.remainingMs ?? 0) > 3_590_000);
      const listed = [];
      for await (const each of client.list({ metadata: { job: '1' } })) listed.push(each.id);
      assert.deepEqual(listed, [sandbox.id]);

      await client.delete(sandbox.id);
      await assert.rejects(
        client.get(sandbox.id),
        (error) => isWarmpoolError(error) && error.code === 'SANDBOX_NOT_FOUND',
      );
    });

    test('files written by one command are there for the next, and not in another sandbox', async () => {
      const [one, two] = await Promise.all([client.create('base'), client.create('base')]);
      const sh = (id: string, script: string) => client.exec({ sandboxId: id, argv: ['sh', '-c', script] });
      assert.equal((await sh(one.id, 'echo secret > ~/note && cat ~/note')).stdout.toString(), 'secret\n');
      assert.equal((await sh(one.id, 'cat ~/note')).stdout.toString(), 'secret\n');
      assert.notEqual((await sh(two.id, 'cat ~/note')).exitCode, 0);
      await deleteAll(client);
    });

    test('command errors are told apart', async () => {
      const { id: sandboxId } = await client.create('base');
      const codeOf = (command: object) =>
        client.exec({ sandboxId, argv: ['true'], ...command }).then(
          () => 'none',
          (error: unknown) => (isWarmpoolError(error) ? error.code : String(error)),
        );
      assert.equal(await codeOf({ argv: ['no-such-command'] }), 'COMMAND_NOT_FOUND');
      assert.equal(await codeOf({ argv: ['/etc/passwd'] }), 'COMMAND_NOT_EXECUTABLE');
      assert.equal(await codeOf({ cwd: '/no/such/folder' }), 'CWD_INVALID');
      assert.equal(await codeOf({ user: 'nobody-knows' }), 'USER_UNKNOWN');
      const late = await client.exec({ sandboxId, argv: ['sleep', '100'], timeoutMs: 100 });
      assert.ok(late.timedOut);
      await deleteAll(client);
    });

    test('20 clients at once on a pool of 2 all get a working sandbox of their own or a clear refusal', async () => {
      await untilReady(client, 2);
      const results = await Promise.allSettled(
        Array.from({ length: 20 }, async () => {
          const sandbox = await client.create('base', {}, { deadlineMs: 60_000 });
          const echoed = await client.exec({ sandboxId: sandbox.id, argv: ['echo', sandbox.id] });
          assert.equal(echoed.stdout.toString(), `${sandbox.id}\n`);
          return sandbox.id;
        }),
      );
      const ids = results.filter((each) => each.status === 'fulfilled').map((each) => each.value);
      const refusals = results.filter((each) => each.status === 'rejected').map((each) => each.reason);
      assert.equal(new Set(ids).size, ids.length);
      // How many of the cold starts are in time is the machine's business.
      assert.ok(ids.length >= 2 && ids.length <= 8, `${ids.length} of 20 were served: ${refusals}`);
      for (const reason of refusals)
        assert.ok(isWarmpoolError(reason) && clearRefusals.has(reason.code), String(reason));
      await deleteAll(client);
    });

    test('a sandbox nobody keeps alive ends, and nothing of it is left', async () => {
      const { id, launch } = await client.create('cold');
      assert.equal(launch, 'cold');
      assert.notDeepEqual(await tracesOfSandbox(id), []);
      const stop = new AbortController();
      // A lease as short as that from the start could end before the watch is on.
      const onReady = () => void client.setTimeout(id, 1_000);
      for await (const event of client.watch({ id, onReady }, { signal: stop.signal })) {
        if (event.to !== 'stopped') continue;
        assert.equal(event.reason, 'lease_expired');
        stop.abort();
      }
      await until(async () => (await tracesOfSandbox(id)).length === 0, 'every trace of it to go');
    });

    /** Its container, or the control group that goes with its last process. */
    async function tracesOfSandbox(id: string): Promise<readonly string[]> {
      return (await tracesOf(folder, setup.dockerHost)).filter((trace) => trace.includes(id));
    }

    test('the guest cannot be killed from inside; killed from outside, its sandbox fails and the pool goes on', async () => {
      const { id: sandboxId } = await client.create('cold');
      await client.exec({ sandboxId, argv: ['sh', '-c', 'kill -9 1; kill -9 -1'] });
      assert.equal((await client.exec({ sandboxId, argv: ['echo', 'alive'] })).stdout.toString(), 'alive\n');

      const stop = new AbortController();
      const states: string[] = [];
      const watchIsOn = new Deferred<void>();
      const watching = (async () => {
        const filter = { id: sandboxId, onReady: () => watchIsOn.resolve() };
        for await (const event of client.watch(filter, { signal: stop.signal })) {
          states.push(event.to);
          if (event.to === 'failed') stop.abort();
        }
      })();
      await watchIsOn.promise;
      await killFromOutside(folder, setup.dockerHost, sandboxId);
      await watching;
      assert.deepEqual(states, ['failed']);
      assert.match((await client.get(sandboxId)).failure, /link to the guest was lost/);
      const uses = [
        () => client.exec({ sandboxId, argv: ['true'] }),
        () => client.keepAlive(sandboxId),
        () => client.setTimeout(sandboxId, 60_000),
      ];
      for (const use of uses)
        await assert.rejects(use, (error) => isWarmpoolError(error) && error.code === 'SANDBOX_FAILED');
      assert.equal((await client.create('cold')).launch, 'cold');
      await deleteAll(client);
    });

    test('SIGTERM leaves nothing behind', async () => {
      await untilReady(client, 2);
      assert.notDeepEqual(await tracesOf(folder, setup.dockerHost), []);
      assert.deepEqual(await service.kill('SIGTERM'), { code: 0, signal: null });
      await untilNoTraces(folder, setup.dockerHost);
    });

    test('kill -9 of the service and a new start: no orphan container, process, mount, cgroup or lease', async () => {
      using killed = new ServiceFolder([smallPool()]);
      await using first = await TestService.start({ pools: [], folder: killed, env: setup.env });
      {
        using before = connect(first.grpc);
        await untilReady(before, 2);
        await before.create('base', { timeoutMs: 2_000 });
      }
      await first.kill('SIGKILL');
      {
        await using again = await TestService.start({ pools: [], folder: killed, env: setup.env });
        using afterwards = connect(again.grpc);
        await untilReady(afterwards, 2);
        // Whatever was claimed before either lives on until its lease ends, or is gone already: then only the pool is left.
        await afterwards.scalePool('base', { minReady: 0, maxReady: 0 });
        await untilNoTraces(killed, setup.dockerHost);
        await untilPool(afterwards, 'no record of anything alive', (pool) => pool.live === 0);
        assert.deepEqual(
          (await afterwards.listPage({ states: ['starting', 'running', 'stopping'] })).sandboxes,
          [],
        );
      }
    });
  });
}

const clearRefusals: ReadonlySet<string> = new Set(['NO_CAPACITY', 'BOOT_FAILED', 'DEADLINE_EXCEEDED']);

/** Settles when the pool has so many ready sandboxes; rejects with what the pool says of itself when it takes too long. */
export function untilReady(client: WarmpoolClient, ready: number): Promise<void> {
  return untilPool(client, `${ready} ready`, (pool) => pool.ready >= ready);
}

async function untilPool(
  client: WarmpoolClient,
  what: string,
  isAsAsked: (pool: PoolSummary) => boolean,
): Promise<void> {
  let seen: PoolSummary | null = null;
  await until(
    async () => {
      seen = await client.pool('base');
      return isAsAsked(seen);
    },
    () => `${what}: ${JSON.stringify(seen)}`,
  );
}

/** Sandboxes on Docker outlive their service, so a test that shares a store takes its own away. */
export async function deleteAll(client: WarmpoolClient): Promise<void> {
  const deletions: Promise<void>[] = [];
  for await (const { id } of client.list()) deletions.push(deleteSurely(client, id));
  await Promise.all(deletions);
}

/** Asks again when nothing is known of the outcome: a service short of processor time may hear its store too late. */
async function deleteSurely(client: WarmpoolClient, id: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await client.delete(id);
    } catch (error) {
      const code = isWarmpoolError(error) ? error.code : null;
      if (attempt > 1 && code === 'SANDBOX_NOT_FOUND') return;
      if (attempt === 5 || code !== 'STORE_UNAVAILABLE') throw error;
    }
  }
}
