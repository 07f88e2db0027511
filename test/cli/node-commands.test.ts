import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import type { NodeView } from '../../src/allocator/api.ts';
import { CliProcess } from '../support/cli-process.ts';
import { grpcFixture } from '../support/grpc-fixture.ts';

const { allocator, address } = await grpcFixture();

const node: NodeView = {
  id: 'node-a',
  state: 'active',
  runtimes: ['bubblewrap'],
  pools: ['base', 'small'],
  sandboxes: 7,
  capacity: 512,
  heartbeatAgeMs: 430,
  orderedForMs: null,
  drainEndsInMs: null,
  left: { starting: 0, ready: 2, running: 5, stopping: 0 },
};

function start(...args: readonly string[]): CliProcess {
  return new CliProcess(['--address', address, ...args]);
}

test('nodes prints a table for people, and one document for programs', async () => {
  allocator.nodes.clear();
  allocator.nodes.set('node-a', { ...node, left: null });
  allocator.nodes.set('node-b', {
    ...node,
    id: 'node-b',
    state: 'lost',
    heartbeatAgeMs: 75_000,
    orderedForMs: 3_600_000,
    left: null,
  });
  const { stdout } = await start('nodes').result();
  assert.equal(
    stdout,
    [
      'NODE    STATE   SANDBOXES  HEARD      ORDERED  RUNTIMES    POOLS',
      'node-a  active  7/512      430ms ago  -        bubblewrap  base,small',
      'node-b  lost    7/512      1m15s ago  1h ago   bubblewrap  base,small',
      '',
    ].join('\n'),
  );
  allocator.nodes.set('node-a', node);
  const json = await start('nodes', 'node-a', '--json').result();
  assert.deepEqual(JSON.parse(json.stdout), {
    id: 'node-a',
    state: 'active',
    runtimes: ['bubblewrap'],
    pools: ['base', 'small'],
    sandboxes: 7,
    capacity: 512,
    heartbeat_age_ms: 430,
    ordered_for_ms: null,
    drain_ends_in_ms: null,
    left: { starting: 0, ready: 2, running: 5, stopping: 0 },
  });
});

test('cordon and uncordon print the node as it is then; an unknown one is 125', async () => {
  allocator.nodes.set('node-a', node);
  const cordoned = await start('cordon', 'node-a').result();
  assert.equal(cordoned.code, 0);
  assert.match(cordoned.stdout, /^node-a {2}cordoned {2}2 {6}0 {9}5 {8}0 {9}512 /m);
  assert.match((await start('uncordon', 'node-a').result()).stdout, /^node-a {2}active /m);
  const unknown = await start('cordon', 'node-x').result();
  assert.deepEqual([unknown.code, unknown.stderr], [125, 'warmpool: no node is named "node-x"\n']);
});

test('drain says what is left whenever that changes, and ends with 0 once nothing is', async () => {
  allocator.nodes.set('node-a', node);
  const drain = start('drain', 'node-a', '--timeout', '10m');
  await once(drain.child.stderr, 'data');
  assert.equal(allocator.nodes.get('node-a')?.drainEndsInMs, 600_000);
  const left = { starting: 0, ready: 0, running: 0, stopping: 0 };
  allocator.nodes.set('node-a', { ...node, state: 'drained', left });
  const { code, stdout, stderr } = await drain.result();
  assert.equal(code, 0);
  assert.equal(stderr, 'node-a: 5 running, 2 ready, ended 10m after the order\n');
  assert.match(stdout, /^node-a {2}drained /m);
});

test('drain that will not come to its end is 125 and says why; without waiting it is 0 at once', async () => {
  allocator.nodes.set('node-a', node);
  const drain = start('drain', 'node-a');
  await once(drain.child.stderr, 'data');
  allocator.nodes.set('node-a', { ...node, state: 'lost' });
  const { code, stderr } = await drain.result();
  assert.equal(code, 125);
  assert.match(stderr, /^warmpool: node "node-a" was lost before it was empty; what was on it has failed$/m);
  allocator.nodes.set('node-a', node);
  const begun = await start('drain', 'node-a', '--no-wait', '--json').result();
  assert.deepEqual([begun.code, JSON.parse(begun.stdout).state], [0, 'draining']);
});

test('an interrupted drain goes on, and says how to take it back', async () => {
  allocator.nodes.set('node-a', node);
  const drain = start('drain', 'node-a');
  await once(drain.child.stderr, 'data');
  drain.child.kill('SIGINT');
  const { code, stderr } = await drain.result();
  assert.equal(code, 130);
  assert.match(stderr, /^node-a: the drain goes on; warmpool uncordon takes it back$/m);
  assert.equal(allocator.nodes.get('node-a')?.state, 'draining');
});
