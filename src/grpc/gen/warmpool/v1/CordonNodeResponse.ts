// Original file: proto/warmpool/v1/node_service.proto

import type { Node as _warmpool_v1_Node, Node__Output as _warmpool_v1_Node__Output } from '../../warmpool/v1/Node.ts';

export interface CordonNodeResponse {
  'node'?: (_warmpool_v1_Node | null);
}

export interface CordonNodeResponse__Output {
  'node': (_warmpool_v1_Node__Output | null);
}
