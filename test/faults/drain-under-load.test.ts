import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { connect, type WarmpoolClient } from '../../src/client/grpc-client.ts';
import { isWarmpoolError } from '../../src/domain/errors.ts';
import { requirement } from '../support/requirements.ts';
import { type PoolFile, ServiceFolder, TestService } from '../support/service.ts';
import { untilNoTraces } from '../support/traces.ts';
import { until } from '../support/until.ts';

const { skip } = await requirement('bubblewrap');

const sandboxCount = 10;
const callsEach = 20;
const streamsEach = 5;

const pool: PoolFile = {
  name: 'base',
  template: { resources: { cpu: 1, memoryMb: 128, diskMb: 16, pids: 128 } },
  size: { minReady: 2, maxReady: 4, maxTotal: 20, targetHitRatio: 0 },
  lease: { ttl: '5m' },
};

test('T15 D19 SIGTERM amid 200 calls and 50 streams: all of them finish, new ones are refused, nothing is left', {
  skip,
}, async (context) => {
  using folder = new ServiceFolder([pool]);
  const env = { WARMPOOL_RUNTIME: 'bubblewrap', WARMPOOL_DRAIN_TIMEOUT: '1m' };
  await using service = await TestService.start({ pools: [], folder, env });
  using client = connect(service.grpc);
  const mark = `waits-${folder.nodeId}`;
  const sandboxes = await Promise.all(Array.from({ length: sandboxCount }, () => useSandbox(client, mark)));
  await until(
    () => processesWith(mark) >= sandboxCount * callsEach,
    () => `${processesWith(mark)} of ${sandboxCount * callsEach} calls are in flight`,
  );

  const exited = service.kill('SIGTERM');
  const signalledMs = performance.now();
  await service.logged('draining');
  using late = connect(service.grpc);
  await assert.rejects(late.create('base'));
  await assert.rejects(
    client.create('base'),
    (error) => !isWarmpoolError(error) || error.code === 'DRAINING',
  );

  for (const { letGo } of sandboxes) await letGo();
  for (const { calls, streams } of sandboxes) {
    for (const { exitCode, stdout } of await Promise.all(calls))
      assert.deepEqual([exitCode, stdout.toString()], [0, 'went on with 0\n']);
    for (const { exitCode } of await Promise.all(streams)) assert.equal(exitCode, 0);
  }
  assert.deepEqual(await exited, { code: 0, signal: null });
  context.diagnostic(`ended ${Math.round(performance.now() - signalledMs)} ms after the signal`);
  await untilNoTraces(folder);
});

/** One stream that keeps a gate, calls that wait before it, and streams that wait for the end of their input. */
async function useSandbox(client: WarmpoolClient, mark: string) {
  const { id: sandboxId } = await client.create('base');
  const shell = (script: string) => ({ sandboxId, argv: ['sh', '-c', script] });
  const keeper = client.execStream(
    shell(`mkfifo gate && exec 3<>gate && echo up && read go && printf %0${callsEach}d 0 >&3; read x; true`),
    () => {},
  );
  await keeper.started;
  // The gate has to be there before those who wait at it.
  await until(async () => (await client.exec(shell('test -p gate'))).exitCode === 0, 'the gate');
  const calls = Array.from({ length: callsEach }, () =>
    client.exec(shell(`x=$(head -c1 <gate) && echo "went on with $x" # ${mark}`), { deadlineMs: 300_000 }),
  );
  const streams = Array.from({ length: streamsEach - 1 }, () =>
    client.execStream({ sandboxId, argv: ['cat'] }, () => {}),
  );
  await Promise.all(streams.map((stream) => stream.started));
  return {
    calls,
    streams: [keeper, ...streams].map((stream) => stream.exited),
    letGo: async () => {
      for (const stream of streams) stream.endStdin();
      await keeper.writeStdin(Buffer.from('go\n'));
      // Until the calls have their lines, they are in the gate only.
      await Promise.all(calls);
      keeper.endStdin();
    },
  };
}

/** What runs in the sandboxes, as the host sees it. */
function processesWith(mark: string): number {
  return readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && commandLine(pid).includes(mark)).length;
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}
