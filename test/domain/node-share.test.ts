import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type NodeCapacity, shareOfBoots } from '../../src/domain/node-share.ts';

const node = (nodeId: string, sandboxes: number, capacity: number): NodeCapacity => ({
  nodeId,
  sandboxes,
  capacity,
});

test('boots are shared by free capacity', () => {
  const fleet = [node('a', 50, 100), node('b', 75, 100), node('c', 100, 100), node('d', 0, 25)];
  assert.deepEqual(
    fleet.map(({ nodeId }) => shareOfBoots(8, fleet, nodeId)),
    [4, 2, 0, 2],
  );
});

test('a single boot goes to one node, the one with most room', () => {
  const fleet = [node('a', 10, 100), node('b', 5, 100), node('c', 10, 100)];
  assert.deepEqual(
    fleet.map(({ nodeId }) => shareOfBoots(1, fleet, nodeId)),
    [0, 1, 0],
  );
});

test('a node that is alone, or not in the list yet, takes everything; a full one nothing', () => {
  assert.equal(shareOfBoots(5, [node('a', 0, 10)], 'a'), 5);
  assert.equal(shareOfBoots(5, [], 'a'), 5);
  assert.equal(shareOfBoots(5, [node('b', 0, 10)], 'a'), 5);
  assert.equal(shareOfBoots(5, [node('a', 10, 10)], 'a'), 0);
});

test('the shares of a fleet add up, and each is off its part by less than one', () => {
  const capacity = fc.record({ sandboxes: fc.nat(2_000), capacity: fc.integer({ min: 1, max: 2_000 }) });
  fc.assert(
    fc.property(fc.nat(5_000), fc.array(capacity, { minLength: 1, maxLength: 40 }), (count, rooms) => {
      const fleet = rooms.map((room, at) => ({ nodeId: `node-${at}`, ...room }));
      const shares = fleet.map(({ nodeId }) => shareOfBoots(count, fleet, nodeId));
      const slots = fleet.map((each) => Math.max(0, each.capacity - each.sandboxes));
      const total = slots.reduce((sum, each) => sum + each, 0);
      assert.equal(
        shares.reduce((sum, share) => sum + share, 0),
        total === 0 ? 0 : count,
      );
      for (const [at, share] of shares.entries()) {
        const exact = total === 0 ? 0 : (count * (slots[at] ?? 0)) / total;
        assert.ok(Math.abs(share - exact) < 1 + 1e-9);
      }
    }),
    { numRuns: 300 },
  );
});
