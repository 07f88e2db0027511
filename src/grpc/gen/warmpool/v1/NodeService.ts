// Original file: proto/warmpool/v1/node_service.proto

import type * as grpc from '@grpc/grpc-js'
import type { MethodDefinition } from '@grpc/proto-loader'
import type { CordonNodeRequest as _warmpool_v1_CordonNodeRequest, CordonNodeRequest__Output as _warmpool_v1_CordonNodeRequest__Output } from '../../warmpool/v1/CordonNodeRequest.ts';
import type { CordonNodeResponse as _warmpool_v1_CordonNodeResponse, CordonNodeResponse__Output as _warmpool_v1_CordonNodeResponse__Output } from '../../warmpool/v1/CordonNodeResponse.ts';
import type { DrainNodeRequest as _warmpool_v1_DrainNodeRequest, DrainNodeRequest__Output as _warmpool_v1_DrainNodeRequest__Output } from '../../warmpool/v1/DrainNodeRequest.ts';
import type { DrainNodeResponse as _warmpool_v1_DrainNodeResponse, DrainNodeResponse__Output as _warmpool_v1_DrainNodeResponse__Output } from '../../warmpool/v1/DrainNodeResponse.ts';
import type { GetNodeRequest as _warmpool_v1_GetNodeRequest, GetNodeRequest__Output as _warmpool_v1_GetNodeRequest__Output } from '../../warmpool/v1/GetNodeRequest.ts';
import type { GetNodeResponse as _warmpool_v1_GetNodeResponse, GetNodeResponse__Output as _warmpool_v1_GetNodeResponse__Output } from '../../warmpool/v1/GetNodeResponse.ts';
import type { ListNodesRequest as _warmpool_v1_ListNodesRequest, ListNodesRequest__Output as _warmpool_v1_ListNodesRequest__Output } from '../../warmpool/v1/ListNodesRequest.ts';
import type { ListNodesResponse as _warmpool_v1_ListNodesResponse, ListNodesResponse__Output as _warmpool_v1_ListNodesResponse__Output } from '../../warmpool/v1/ListNodesResponse.ts';
import type { UncordonNodeRequest as _warmpool_v1_UncordonNodeRequest, UncordonNodeRequest__Output as _warmpool_v1_UncordonNodeRequest__Output } from '../../warmpool/v1/UncordonNodeRequest.ts';
import type { UncordonNodeResponse as _warmpool_v1_UncordonNodeResponse, UncordonNodeResponse__Output as _warmpool_v1_UncordonNodeResponse__Output } from '../../warmpool/v1/UncordonNodeResponse.ts';

export interface NodeServiceClient extends grpc.Client {
  CordonNode(argument: _warmpool_v1_CordonNodeRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_CordonNodeResponse__Output>): grpc.ClientUnaryCall;
  CordonNode(argument: _warmpool_v1_CordonNodeRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_warmpool_v1_CordonNodeResponse__Output>): grpc.ClientUnaryCall;
  CordonNode(argument: _warmpool_v1_CordonNodeRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_CordonNodeResponse__Output>): grpc.ClientUnaryCall;
  CordonNode(argument: _warmpool_v1_CordonNodeRequest, callback: grpc.requestCallback<_warmpool_v1_CordonNodeResponse__Output>): grpc.ClientUnaryCall;
  cordonNode(argument: _warmpool_v1_CordonNodeRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_CordonNodeResponse__Output>): grpc.ClientUnaryCall;
  cordonNode(argument: _warmpool_v1_CordonNodeRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_warmpool_v1_CordonNodeResponse__Output>): grpc.ClientUnaryCall;
  cordonNode(argument: _warmpool_v1_CordonNodeRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_CordonNodeResponse__Output>): grpc.ClientUnaryCall;
  cordonNode(argument: _warmpool_v1_CordonNodeRequest, callback: grpc.requestCallback<_warmpool_v1_CordonNodeResponse__Output>): grpc.ClientUnaryCall;
  
  DrainNode(argument: _warmpool_v1_DrainNodeRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_DrainNodeResponse__Output>): grpc.ClientUnaryCall;
  DrainNode(argument: _warmpool_v1_DrainNodeRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_warmpool_v1_DrainNodeResponse__Output>): grpc.ClientUnaryCall;
  DrainNode(argument: _warmpool_v1_DrainNodeRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_DrainNodeResponse__Output>): grpc.ClientUnaryCall;
  DrainNode(argument: _warmpool_v1_DrainNodeRequest, callback: grpc.requestCallback<_warmpool_v1_DrainNodeResponse__Output>): grpc.ClientUnaryCall;
  drainNode(argument: _warmpool_v1_DrainNodeRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_DrainNodeResponse__Output>): grpc.ClientUnaryCall;
  drainNode(argument: _warmpool_v1_DrainNodeRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_warmpool_v1_DrainNodeResponse__Output>): grpc.ClientUnaryCall;
  drainNode(argument: _warmpool_v1_DrainNodeRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_DrainNodeResponse__Output>): grpc.ClientUnaryCall;
  drainNode(argument: _warmpool_v1_DrainNodeRequest, callback: grpc.requestCallback<_warmpool_v1_DrainNodeResponse__Output>): grpc.ClientUnaryCall;
  
  GetNode(argument: _warmpool_v1_GetNodeRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_GetNodeResponse__Output>): grpc.ClientUnaryCall;
  GetNode(argument: _warmpool_v1_GetNodeRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_warmpool_v1_GetNodeResponse__Output>): grpc.ClientUnaryCall;
  GetNode(argument: _warmpool_v1_GetNodeRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_GetNodeResponse__Output>): grpc.ClientUnaryCall;
  GetNode(argument: _warmpool_v1_GetNodeRequest, callback: grpc.requestCallback<_warmpool_v1_GetNodeResponse__Output>): grpc.ClientUnaryCall;
  getNode(argument: _warmpool_v1_GetNodeRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_GetNodeResponse__Output>): grpc.ClientUnaryCall;
  getNode(argument: _warmpool_v1_GetNodeRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_warmpool_v1_GetNodeResponse__Output>): grpc.ClientUnaryCall;
  getNode(argument: _warmpool_v1_GetNodeRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_GetNodeResponse__Output>): grpc.ClientUnaryCall;
  getNode(argument: _warmpool_v1_GetNodeRequest, callback: grpc.requestCallback<_warmpool_v1_GetNodeResponse__Output>): grpc.ClientUnaryCall;
  
  ListNodes(argument: _warmpool_v1_ListNodesRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_ListNodesResponse__Output>): grpc.ClientUnaryCall;
  ListNodes(argument: _warmpool_v1_ListNodesRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_warmpool_v1_ListNodesResponse__Output>): grpc.ClientUnaryCall;
  ListNodes(argument: _warmpool_v1_ListNodesRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_ListNodesResponse__Output>): grpc.ClientUnaryCall;
  ListNodes(argument: _warmpool_v1_ListNodesRequest, callback: grpc.requestCallback<_warmpool_v1_ListNodesResponse__Output>): grpc.ClientUnaryCall;
  listNodes(argument: _warmpool_v1_ListNodesRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_ListNodesResponse__Output>): grpc.ClientUnaryCall;
  listNodes(argument: _warmpool_v1_ListNodesRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_warmpool_v1_ListNodesResponse__Output>): grpc.ClientUnaryCall;
  listNodes(argument: _warmpool_v1_ListNodesRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_ListNodesResponse__Output>): grpc.ClientUnaryCall;
  listNodes(argument: _warmpool_v1_ListNodesRequest, callback: grpc.requestCallback<_warmpool_v1_ListNodesResponse__Output>): grpc.ClientUnaryCall;
  
  UncordonNode(argument: _warmpool_v1_UncordonNodeRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_UncordonNodeResponse__Output>): grpc.ClientUnaryCall;
  UncordonNode(argument: _warmpool_v1_UncordonNodeRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_warmpool_v1_UncordonNodeResponse__Output>): grpc.ClientUnaryCall;
  UncordonNode(argument: _warmpool_v1_UncordonNodeRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_UncordonNodeResponse__Output>): grpc.ClientUnaryCall;
  UncordonNode(argument: _warmpool_v1_UncordonNodeRequest, callback: grpc.requestCallback<_warmpool_v1_UncordonNodeResponse__Output>): grpc.ClientUnaryCall;
  uncordonNode(argument: _warmpool_v1_UncordonNodeRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_UncordonNodeResponse__Output>): grpc.ClientUnaryCall;
  uncordonNode(argument: _warmpool_v1_UncordonNodeRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_warmpool_v1_UncordonNodeResponse__Output>): grpc.ClientUnaryCall;
  uncordonNode(argument: _warmpool_v1_UncordonNodeRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_UncordonNodeResponse__Output>): grpc.ClientUnaryCall;
  uncordonNode(argument: _warmpool_v1_UncordonNodeRequest, callback: grpc.requestCallback<_warmpool_v1_UncordonNodeResponse__Output>): grpc.ClientUnaryCall;
  
}

export interface NodeServiceHandlers extends grpc.UntypedServiceImplementation {
  CordonNode: grpc.handleUnaryCall<_warmpool_v1_CordonNodeRequest__Output, _warmpool_v1_CordonNodeResponse>;
  
  DrainNode: grpc.handleUnaryCall<_warmpool_v1_DrainNodeRequest__Output, _warmpool_v1_DrainNodeResponse>;
  
  GetNode: grpc.handleUnaryCall<_warmpool_v1_GetNodeRequest__Output, _warmpool_v1_GetNodeResponse>;
  
  ListNodes: grpc.handleUnaryCall<_warmpool_v1_ListNodesRequest__Output, _warmpool_v1_ListNodesResponse>;
  
  UncordonNode: grpc.handleUnaryCall<_warmpool_v1_UncordonNodeRequest__Output, _warmpool_v1_UncordonNodeResponse>;
  
}

export interface NodeServiceDefinition extends grpc.ServiceDefinition {
  CordonNode: MethodDefinition<_warmpool_v1_CordonNodeRequest, _warmpool_v1_CordonNodeResponse, _warmpool_v1_CordonNodeRequest__Output, _warmpool_v1_CordonNodeResponse__Output>
  DrainNode: MethodDefinition<_warmpool_v1_DrainNodeRequest, _warmpool_v1_DrainNodeResponse, _warmpool_v1_DrainNodeRequest__Output, _warmpool_v1_DrainNodeResponse__Output>
  GetNode: MethodDefinition<_warmpool_v1_GetNodeRequest, _warmpool_v1_GetNodeResponse, _warmpool_v1_GetNodeRequest__Output, _warmpool_v1_GetNodeResponse__Output>
  ListNodes: MethodDefinition<_warmpool_v1_ListNodesRequest, _warmpool_v1_ListNodesResponse, _warmpool_v1_ListNodesRequest__Output, _warmpool_v1_ListNodesResponse__Output>
  UncordonNode: MethodDefinition<_warmpool_v1_UncordonNodeRequest, _warmpool_v1_UncordonNodeResponse, _warmpool_v1_UncordonNodeRequest__Output, _warmpool_v1_UncordonNodeResponse__Output>
}
