import type { Edge } from './edge.ts';
import { formatPool } from './format-pool.ts';
import type { PoolServiceHandlers } from './gen/warmpool/v1/PoolService.ts';
import { parseSizeChange } from './parse-requests.ts';
import { RequestFields } from './request-fields.ts';
import { unary } from './unary-call.ts';

export function poolService(edge: Edge): PoolServiceHandlers {
  const { allocator } = edge;
  return {
    ListPools: unary(edge, 'listPools', async (principal) => {
      return { pools: (await allocator.listPools(principal)).map(formatPool) };
    }),
    GetPool: unary(edge, 'getPool', async (principal, wire) => {
      return { pool: formatPool(await allocator.getPool(principal, requiredName(wire))) };
    }),
    ScalePool: unary(edge, 'scalePool', async (principal, wire) => {
      const name = requiredName(wire);
      return { pool: formatPool(await allocator.scalePool(principal, name, parseSizeChange(wire))) };
    }),
  };
}

function requiredName(wire: { readonly name: string }): string {
  const fields = new RequestFields();
  const name = fields.required('name', wire.name);
  fields.done();
  return name;
}
