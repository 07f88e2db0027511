/** A node that boots for a pool, as its heartbeats tell. */
export interface NodeCapacity {
  readonly nodeId: string;
  /** Sandboxes it has, and may have. */
  readonly sandboxes: number;
  readonly capacity: number;
}

/**
 * How many of `count` boots this node should have in flight: its share by free capacity, so that a pool spreads over the
 * fleet instead of landing on whoever answers first. The shares of all nodes that see the same list add up to `count`
 * (largest remainders first, then by id), and each is off its exact part by less than one.
 *
 * A node that is not in the list takes everything: nobody else is known to be there.
 */
export function shareOfBoots(count: number, nodes: readonly NodeCapacity[], nodeId: string): number {
  if (!nodes.some((node) => node.nodeId === nodeId)) return count;
  const free = nodes.map((node) => ({
    nodeId: node.nodeId,
    slots: Math.max(0, node.capacity - node.sandboxes),
  }));
  const slots = free.reduce((sum, node) => sum + node.slots, 0);
  if (slots === 0) return 0;
  const parts = free.map((node) => {
    const exact = (count * node.slots) / slots;
    return { nodeId: node.nodeId, whole: Math.floor(exact), remainder: exact - Math.floor(exact) };
  });
  const left = count - parts.reduce((sum, part) => sum + part.whole, 0);
  const first = parts
    .sort((a, b) => b.remainder - a.remainder || (a.nodeId < b.nodeId ? -1 : 1))
    .slice(0, left)
    .some((part) => part.nodeId === nodeId);
  const whole = parts.find((part) => part.nodeId === nodeId)?.whole ?? 0;
  return whole + (first ? 1 : 0);
}
