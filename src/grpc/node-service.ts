import type { Edge } from './edge.ts';
import { formatNode } from './format-node.ts';
import type { NodeServiceHandlers } from './gen/warmpool/v1/NodeService.ts';
import { RequestFields } from './request-fields.ts';
import { unary } from './unary-call.ts';

export function nodeService(edge: Edge): NodeServiceHandlers {
  const { allocator } = edge;
  return {
    ListNodes: unary(edge, 'listNodes', async (principal) => {
      return { nodes: (await allocator.listNodes(principal)).map(formatNode) };
    }),
    GetNode: unary(edge, 'getNode', async (principal, wire) => {
      return { node: formatNode(await allocator.getNode(principal, requiredId(wire))) };
    }),
    CordonNode: unary(edge, 'cordonNode', async (principal, wire) => {
      return { node: formatNode(await allocator.cordonNode(principal, requiredId(wire))) };
    }),
    UncordonNode: unary(edge, 'uncordonNode', async (principal, wire) => {
      return { node: formatNode(await allocator.uncordonNode(principal, requiredId(wire))) };
    }),
    DrainNode: unary(edge, 'drainNode', async (principal, wire) => {
      const fields = new RequestFields();
      const id = fields.required('id', wire.id);
      const timeoutMs = fields.duration('timeout', wire.timeout) ?? null;
      fields.done();
      return { node: formatNode(await allocator.drainNode(principal, id, timeoutMs)) };
    }),
  };
}

function requiredId(wire: { readonly id: string }): string {
  const fields = new RequestFields();
  const id = fields.required('id', wire.id);
  fields.done();
  return id;
}
