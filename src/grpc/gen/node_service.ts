import type * as grpc from '@grpc/grpc-js';
import type { EnumTypeDefinition, MessageTypeDefinition } from '@grpc/proto-loader';

import type { Duration as _google_protobuf_Duration, Duration__Output as _google_protobuf_Duration__Output } from './google/protobuf/Duration.ts';
import type { CordonNodeRequest as _warmpool_v1_CordonNodeRequest, CordonNodeRequest__Output as _warmpool_v1_CordonNodeRequest__Output } from './warmpool/v1/CordonNodeRequest.ts';
import type { CordonNodeResponse as _warmpool_v1_CordonNodeResponse, CordonNodeResponse__Output as _warmpool_v1_CordonNodeResponse__Output } from './warmpool/v1/CordonNodeResponse.ts';
import type { DrainNodeRequest as _warmpool_v1_DrainNodeRequest, DrainNodeRequest__Output as _warmpool_v1_DrainNodeRequest__Output } from './warmpool/v1/DrainNodeRequest.ts';
import type { DrainNodeResponse as _warmpool_v1_DrainNodeResponse, DrainNodeResponse__Output as _warmpool_v1_DrainNodeResponse__Output } from './warmpool/v1/DrainNodeResponse.ts';
import type { GetNodeRequest as _warmpool_v1_GetNodeRequest, GetNodeRequest__Output as _warmpool_v1_GetNodeRequest__Output } from './warmpool/v1/GetNodeRequest.ts';
import type { GetNodeResponse as _warmpool_v1_GetNodeResponse, GetNodeResponse__Output as _warmpool_v1_GetNodeResponse__Output } from './warmpool/v1/GetNodeResponse.ts';
import type { ListNodesRequest as _warmpool_v1_ListNodesRequest, ListNodesRequest__Output as _warmpool_v1_ListNodesRequest__Output } from './warmpool/v1/ListNodesRequest.ts';
import type { ListNodesResponse as _warmpool_v1_ListNodesResponse, ListNodesResponse__Output as _warmpool_v1_ListNodesResponse__Output } from './warmpool/v1/ListNodesResponse.ts';
import type { Node as _warmpool_v1_Node, Node__Output as _warmpool_v1_Node__Output } from './warmpool/v1/Node.ts';
import type { NodeSandboxes as _warmpool_v1_NodeSandboxes, NodeSandboxes__Output as _warmpool_v1_NodeSandboxes__Output } from './warmpool/v1/NodeSandboxes.ts';
import type { NodeServiceClient as _warmpool_v1_NodeServiceClient, NodeServiceDefinition as _warmpool_v1_NodeServiceDefinition } from './warmpool/v1/NodeService.ts';
import type { UncordonNodeRequest as _warmpool_v1_UncordonNodeRequest, UncordonNodeRequest__Output as _warmpool_v1_UncordonNodeRequest__Output } from './warmpool/v1/UncordonNodeRequest.ts';
import type { UncordonNodeResponse as _warmpool_v1_UncordonNodeResponse, UncordonNodeResponse__Output as _warmpool_v1_UncordonNodeResponse__Output } from './warmpool/v1/UncordonNodeResponse.ts';

type SubtypeConstructor<Constructor extends new (...args: any) => any, Subtype> = {
  new(...args: ConstructorParameters<Constructor>): Subtype;
};

export interface ProtoGrpcType {
  google: {
    protobuf: {
      Duration: MessageTypeDefinition<_google_protobuf_Duration, _google_protobuf_Duration__Output>
    }
  }
  warmpool: {
    v1: {
      CordonNodeRequest: MessageTypeDefinition<_warmpool_v1_CordonNodeRequest, _warmpool_v1_CordonNodeRequest__Output>
      CordonNodeResponse: MessageTypeDefinition<_warmpool_v1_CordonNodeResponse, _warmpool_v1_CordonNodeResponse__Output>
      DrainNodeRequest: MessageTypeDefinition<_warmpool_v1_DrainNodeRequest, _warmpool_v1_DrainNodeRequest__Output>
      DrainNodeResponse: MessageTypeDefinition<_warmpool_v1_DrainNodeResponse, _warmpool_v1_DrainNodeResponse__Output>
      GetNodeRequest: MessageTypeDefinition<_warmpool_v1_GetNodeRequest, _warmpool_v1_GetNodeRequest__Output>
      GetNodeResponse: MessageTypeDefinition<_warmpool_v1_GetNodeResponse, _warmpool_v1_GetNodeResponse__Output>
      ListNodesRequest: MessageTypeDefinition<_warmpool_v1_ListNodesRequest, _warmpool_v1_ListNodesRequest__Output>
      ListNodesResponse: MessageTypeDefinition<_warmpool_v1_ListNodesResponse, _warmpool_v1_ListNodesResponse__Output>
      Node: MessageTypeDefinition<_warmpool_v1_Node, _warmpool_v1_Node__Output>
      NodeSandboxes: MessageTypeDefinition<_warmpool_v1_NodeSandboxes, _warmpool_v1_NodeSandboxes__Output>
      NodeService: SubtypeConstructor<typeof grpc.Client, _warmpool_v1_NodeServiceClient> & { service: _warmpool_v1_NodeServiceDefinition }
      NodeState: EnumTypeDefinition
      UncordonNodeRequest: MessageTypeDefinition<_warmpool_v1_UncordonNodeRequest, _warmpool_v1_UncordonNodeRequest__Output>
      UncordonNodeResponse: MessageTypeDefinition<_warmpool_v1_UncordonNodeResponse, _warmpool_v1_UncordonNodeResponse__Output>
    }
  }
}

