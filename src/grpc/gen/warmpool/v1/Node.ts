// Original file: proto/warmpool/v1/node_service.proto

import type { NodeState as _warmpool_v1_NodeState, NodeState__Output as _warmpool_v1_NodeState__Output } from '../../warmpool/v1/NodeState.ts';
import type { Duration as _google_protobuf_Duration, Duration__Output as _google_protobuf_Duration__Output } from '../../google/protobuf/Duration.ts';
import type { NodeSandboxes as _warmpool_v1_NodeSandboxes, NodeSandboxes__Output as _warmpool_v1_NodeSandboxes__Output } from '../../warmpool/v1/NodeSandboxes.ts';

export interface Node {
  'id'?: (string);
  'state'?: (_warmpool_v1_NodeState);
  'runtimes'?: (string)[];
  'pools'?: (string)[];
  'sandboxes'?: (number);
  'capacity'?: (number);
  'heartbeatAge'?: (_google_protobuf_Duration | null);
  'orderedFor'?: (_google_protobuf_Duration | null);
  'drainEndsIn'?: (_google_protobuf_Duration | null);
  'left'?: (_warmpool_v1_NodeSandboxes | null);
}

export interface Node__Output {
  'id': (string);
  'state': (_warmpool_v1_NodeState__Output);
  'runtimes': (string)[];
  'pools': (string)[];
  'sandboxes': (number);
  'capacity': (number);
  'heartbeatAge': (_google_protobuf_Duration__Output | null);
  'orderedFor': (_google_protobuf_Duration__Output | null);
  'drainEndsIn': (_google_protobuf_Duration__Output | null);
  'left': (_warmpool_v1_NodeSandboxes__Output | null);
}
