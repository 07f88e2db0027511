import type { NodeView } from '../allocator/api.ts';
import type { Node } from './gen/warmpool/v1/Node.ts';
import { wireNodeState } from './wire/enum-names.ts';
import { formatDuration } from './wire/time.ts';

export function formatNode(node: NodeView): Node {
  const { id, state, runtimes, pools, sandboxes, capacity, left } = node;
  const { heartbeatAgeMs, orderedForMs, drainEndsInMs } = node;
  return {
    ...{ id, sandboxes, capacity, left },
    state: wireNodeState[state],
    runtimes: [...runtimes],
    pools: [...pools],
    ...(heartbeatAgeMs === null ? {} : { heartbeatAge: formatDuration(heartbeatAgeMs) }),
    ...(orderedForMs === null ? {} : { orderedFor: formatDuration(orderedForMs) }),
    ...(drainEndsInMs === null ? {} : { drainEndsIn: formatDuration(drainEndsInMs) }),
  };
}
