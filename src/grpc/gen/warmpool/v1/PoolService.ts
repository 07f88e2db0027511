// Original file: proto/warmpool/v1/pool_service.proto

import type * as grpc from '@grpc/grpc-js'
import type { MethodDefinition } from '@grpc/proto-loader'
import type { GetPoolRequest as _warmpool_v1_GetPoolRequest, GetPoolRequest__Output as _warmpool_v1_GetPoolRequest__Output } from '../../warmpool/v1/GetPoolRequest.ts';
import type { GetPoolResponse as _warmpool_v1_GetPoolResponse, GetPoolResponse__Output as _warmpool_v1_GetPoolResponse__Output } from '../../warmpool/v1/GetPoolResponse.ts';
import type { ListPoolsRequest as _warmpool_v1_ListPoolsRequest, ListPoolsRequest__Output as _warmpool_v1_ListPoolsRequest__Output } from '../../warmpool/v1/ListPoolsRequest.ts';
import type { ListPoolsResponse as _warmpool_v1_ListPoolsResponse, ListPoolsResponse__Output as _warmpool_v1_ListPoolsResponse__Output } from '../../warmpool/v1/ListPoolsResponse.ts';
import type { ScalePoolRequest as _warmpool_v1_ScalePoolRequest, ScalePoolRequest__Output as _warmpool_v1_ScalePoolRequest__Output } from '../../warmpool/v1/ScalePoolRequest.ts';
import type { ScalePoolResponse as _warmpool_v1_ScalePoolResponse, ScalePoolResponse__Output as _warmpool_v1_ScalePoolResponse__Output } from '../../warmpool/v1/ScalePoolResponse.ts';

export interface PoolServiceClient extends grpc.Client {
  GetPool(argument: _warmpool_v1_GetPoolRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_GetPoolResponse__Output>): grpc.ClientUnaryCall;
  GetPool(argument: _warmpool_v1_GetPoolRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_warmpool_v1_GetPoolResponse__Output>): grpc.ClientUnaryCall;
  GetPool(argument: _warmpool_v1_GetPoolRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_GetPoolResponse__Output>): grpc.ClientUnaryCall;
  GetPool(argument: _warmpool_v1_GetPoolRequest, callback: grpc.requestCallback<_warmpool_v1_GetPoolResponse__Output>): grpc.ClientUnaryCall;
  getPool(argument: _warmpool_v1_GetPoolRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_GetPoolResponse__Output>): grpc.ClientUnaryCall;
  getPool(argument: _warmpool_v1_GetPoolRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_warmpool_v1_GetPoolResponse__Output>): grpc.ClientUnaryCall;
  getPool(argument: _warmpool_v1_GetPoolRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_GetPoolResponse__Output>): grpc.ClientUnaryCall;
  getPool(argument: _warmpool_v1_GetPoolRequest, callback: grpc.requestCallback<_warmpool_v1_GetPoolResponse__Output>): grpc.ClientUnaryCall;
  
  ListPools(argument: _warmpool_v1_ListPoolsRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_ListPoolsResponse__Output>): grpc.ClientUnaryCall;
  ListPools(argument: _warmpool_v1_ListPoolsRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_warmpool_v1_ListPoolsResponse__Output>): grpc.ClientUnaryCall;
  ListPools(argument: _warmpool_v1_ListPoolsRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_ListPoolsResponse__Output>): grpc.ClientUnaryCall;
  ListPools(argument: _warmpool_v1_ListPoolsRequest, callback: grpc.requestCallback<_warmpool_v1_ListPoolsResponse__Output>): grpc.ClientUnaryCall;
  listPools(argument: _warmpool_v1_ListPoolsRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_ListPoolsResponse__Output>): grpc.ClientUnaryCall;
  listPools(argument: _warmpool_v1_ListPoolsRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_warmpool_v1_ListPoolsResponse__Output>): grpc.ClientUnaryCall;
  listPools(argument: _warmpool_v1_ListPoolsRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_ListPoolsResponse__Output>): grpc.ClientUnaryCall;
  listPools(argument: _warmpool_v1_ListPoolsRequest, callback: grpc.requestCallback<_warmpool_v1_ListPoolsResponse__Output>): grpc.ClientUnaryCall;
  
  ScalePool(argument: _warmpool_v1_ScalePoolRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_ScalePoolResponse__Output>): grpc.ClientUnaryCall;
  ScalePool(argument: _warmpool_v1_ScalePoolRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_warmpool_v1_ScalePoolResponse__Output>): grpc.ClientUnaryCall;
  ScalePool(argument: _warmpool_v1_ScalePoolRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_ScalePoolResponse__Output>): grpc.ClientUnaryCall;
  ScalePool(argument: _warmpool_v1_ScalePoolRequest, callback: grpc.requestCallback<_warmpool_v1_ScalePoolResponse__Output>): grpc.ClientUnaryCall;
  scalePool(argument: _warmpool_v1_ScalePoolRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_ScalePoolResponse__Output>): grpc.ClientUnaryCall;
  scalePool(argument: _warmpool_v1_ScalePoolRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_warmpool_v1_ScalePoolResponse__Output>): grpc.ClientUnaryCall;
  scalePool(argument: _warmpool_v1_ScalePoolRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_ScalePoolResponse__Output>): grpc.ClientUnaryCall;
  scalePool(argument: _warmpool_v1_ScalePoolRequest, callback: grpc.requestCallback<_warmpool_v1_ScalePoolResponse__Output>): grpc.ClientUnaryCall;
  
}

export interface PoolServiceHandlers extends grpc.UntypedServiceImplementation {
  GetPool: grpc.handleUnaryCall<_warmpool_v1_GetPoolRequest__Output, _warmpool_v1_GetPoolResponse>;
  
  ListPools: grpc.handleUnaryCall<_warmpool_v1_ListPoolsRequest__Output, _warmpool_v1_ListPoolsResponse>;
  
  ScalePool: grpc.handleUnaryCall<_warmpool_v1_ScalePoolRequest__Output, _warmpool_v1_ScalePoolResponse>;
  
}

export interface PoolServiceDefinition extends grpc.ServiceDefinition {
  GetPool: MethodDefinition<_warmpool_v1_GetPoolRequest, _warmpool_v1_GetPoolResponse, _warmpool_v1_GetPoolRequest__Output, _warmpool_v1_GetPoolResponse__Output>
  ListPools: MethodDefinition<_warmpool_v1_ListPoolsRequest, _warmpool_v1_ListPoolsResponse, _warmpool_v1_ListPoolsRequest__Output, _warmpool_v1_ListPoolsResponse__Output>
  ScalePool: MethodDefinition<_warmpool_v1_ScalePoolRequest, _warmpool_v1_ScalePoolResponse, _warmpool_v1_ScalePoolRequest__Output, _warmpool_v1_ScalePoolResponse__Output>
}
