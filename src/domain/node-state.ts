export const nodeStates = [
  'active',
  'cordoned',
  'draining',
  'drained',
  'shutting_down',
  'silent',
  'lost',
  'stopped',
] as const;

/** What can be expected of a node; proto/warmpool/v1/node_service.proto says what each means. */
export type NodeState = (typeof nodeStates)[number];
