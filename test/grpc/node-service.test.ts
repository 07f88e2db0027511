import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NodeView } from '../../src/allocator/api.ts';
import { isWarmpoolError } from '../../src/domain/errors.ts';
import { nodeStates } from '../../src/domain/node-state.ts';
import { grpcFixture } from '../support/grpc-fixture.ts';

const { client, allocator } = await grpcFixture();

const node: NodeView = {
  id: 'node-a',
  state: 'draining',
  runtimes: ['docker', 'bubblewrap'],
  pools: ['base', 'gvisor'],
  sandboxes: 7,
  capacity: 512,
  heartbeatAgeMs: 430,
  orderedForMs: 61_500,
  drainEndsInMs: 538_500,
  left: { starting: 1, ready: 0, running: 4, stopping: 2 },
};
const stopped: NodeView = {
  ...node,
  id: 'node-b',
  state: 'stopped',
  heartbeatAgeMs: null,
  orderedForMs: null,
  drainEndsInMs: null,
  left: null,
};

test('ListNodes and GetNode carry every field, and what is not there stays away', async () => {
  allocator.nodes.set(node.id, node).set(stopped.id, stopped);
  assert.deepEqual(await client.nodes(), [node, stopped]);
  assert.deepEqual(await client.node('node-a'), node);
});

test('every state of a node has its word on the wire', async () => {
  for (const state of nodeStates) {
    allocator.nodes.set('node-a', { ...node, state });
    assert.equal((await client.node('node-a')).state, state);
  }
});

test('orders carry what was asked for: a drain without a timeout has no end, one of nothing ends at once', async () => {
  assert.equal((await client.cordonNode('node-a')).state, 'cordoned');
  assert.equal((await client.uncordonNode('node-a')).orderedForMs, null);
  assert.equal((await client.drainNode('node-a')).drainEndsInMs, null);
  assert.equal((await client.drainNode('node-a', 0)).drainEndsInMs, 0);
  assert.equal((await client.drainNode('node-a', 90_500)).drainEndsInMs, 90_500);
});

test('an unknown node is NODE_NOT_FOUND, none is INVALID_REQUEST', async () => {
  const hasCode = (code: string) => (error: unknown) => isWarmpoolError(error) && error.code === code;
  for (const call of [client.node, client.cordonNode, client.uncordonNode, client.drainNode]) {
    await assert.rejects(call.call(client, 'node-x'), hasCode('NODE_NOT_FOUND'));
    await assert.rejects(call.call(client, ''), hasCode('INVALID_REQUEST'));
  }
});
