// Original file: proto/warmpool/v1/sandbox_service.proto

import type * as grpc from '@grpc/grpc-js'
import type { MethodDefinition } from '@grpc/proto-loader'
import type { CreateSandboxRequest as _warmpool_v1_CreateSandboxRequest, CreateSandboxRequest__Output as _warmpool_v1_CreateSandboxRequest__Output } from '../../warmpool/v1/CreateSandboxRequest.ts';
import type { CreateSandboxResponse as _warmpool_v1_CreateSandboxResponse, CreateSandboxResponse__Output as _warmpool_v1_CreateSandboxResponse__Output } from '../../warmpool/v1/CreateSandboxResponse.ts';
import type { DeleteSandboxRequest as _warmpool_v1_DeleteSandboxRequest, DeleteSandboxRequest__Output as _warmpool_v1_DeleteSandboxRequest__Output } from '../../warmpool/v1/DeleteSandboxRequest.ts';
import type { DeleteSandboxResponse as _warmpool_v1_DeleteSandboxResponse, DeleteSandboxResponse__Output as _warmpool_v1_DeleteSandboxResponse__Output } from '../../warmpool/v1/DeleteSandboxResponse.ts';
import type { GetSandboxRequest as _warmpool_v1_GetSandboxRequest, GetSandboxRequest__Output as _warmpool_v1_GetSandboxRequest__Output } from '../../warmpool/v1/GetSandboxRequest.ts';
import type { GetSandboxResponse as _warmpool_v1_GetSandboxResponse, GetSandboxResponse__Output as _warmpool_v1_GetSandboxResponse__Output } from '../../warmpool/v1/GetSandboxResponse.ts';
import type { KeepAliveRequest as _warmpool_v1_KeepAliveRequest, KeepAliveRequest__Output as _warmpool_v1_KeepAliveRequest__Output } from '../../warmpool/v1/KeepAliveRequest.ts';
import type { KeepAliveResponse as _warmpool_v1_KeepAliveResponse, KeepAliveResponse__Output as _warmpool_v1_KeepAliveResponse__Output } from '../../warmpool/v1/KeepAliveResponse.ts';
import type { KeepAliveStreamRequest as _warmpool_v1_KeepAliveStreamRequest, KeepAliveStreamRequest__Output as _warmpool_v1_KeepAliveStreamRequest__Output } from '../../warmpool/v1/KeepAliveStreamRequest.ts';
import type { KeepAliveStreamResponse as _warmpool_v1_KeepAliveStreamResponse, KeepAliveStreamResponse__Output as _warmpool_v1_KeepAliveStreamResponse__Output } from '../../warmpool/v1/KeepAliveStreamResponse.ts';
import type { ListSandboxesRequest as _warmpool_v1_ListSandboxesRequest, ListSandboxesRequest__Output as _warmpool_v1_ListSandboxesRequest__Output } from '../../warmpool/v1/ListSandboxesRequest.ts';
import type { ListSandboxesResponse as _warmpool_v1_ListSandboxesResponse, ListSandboxesResponse__Output as _warmpool_v1_ListSandboxesResponse__Output } from '../../warmpool/v1/ListSandboxesResponse.ts';
import type { SetTimeoutRequest as _warmpool_v1_SetTimeoutRequest, SetTimeoutRequest__Output as _warmpool_v1_SetTimeoutRequest__Output } from '../../warmpool/v1/SetTimeoutRequest.ts';
import type { SetTimeoutResponse as _warmpool_v1_SetTimeoutResponse, SetTimeoutResponse__Output as _warmpool_v1_SetTimeoutResponse__Output } from '../../warmpool/v1/SetTimeoutResponse.ts';
import type { WatchSandboxesRequest as _warmpool_v1_WatchSandboxesRequest, WatchSandboxesRequest__Output as _warmpool_v1_WatchSandboxesRequest__Output } from '../../warmpool/v1/WatchSandboxesRequest.ts';
import type { WatchSandboxesResponse as _warmpool_v1_WatchSandboxesResponse, WatchSandboxesResponse__Output as _warmpool_v1_WatchSandboxesResponse__Output } from '../../warmpool/v1/WatchSandboxesResponse.ts';

export interface SandboxServiceClient extends grpc.Client {
  CreateSandbox(argument: _warmpool_v1_CreateSandboxRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_CreateSandboxResponse__Output>): grpc.ClientUnaryCall;
  CreateSandbox(argument: _warmpool_v1_CreateSandboxRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_warmpool_v1_CreateSandboxResponse__Output>): grpc.ClientUnaryCall;
  CreateSandbox(argument: _warmpool_v1_CreateSandboxRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_CreateSandboxResponse__Output>): grpc.ClientUnaryCall;
  CreateSandbox(argument: _warmpool_v1_CreateSandboxRequest, callback: grpc.requestCallback<_warmpool_v1_CreateSandboxResponse__Output>): grpc.ClientUnaryCall;
  createSandbox(argument: _warmpool_v1_CreateSandboxRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_CreateSandboxResponse__Output>): grpc.ClientUnaryCall;
  createSandbox(argument: _warmpool_v1_CreateSandboxRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_warmpool_v1_CreateSandboxResponse__Output>): grpc.ClientUnaryCall;
  createSandbox(argument: _warmpool_v1_CreateSandboxRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_CreateSandboxResponse__Output>): grpc.ClientUnaryCall;
  createSandbox(argument: _warmpool_v1_CreateSandboxRequest, callback: grpc.requestCallback<_warmpool_v1_CreateSandboxResponse__Output>): grpc.ClientUnaryCall;
  
  DeleteSandbox(argument: _warmpool_v1_DeleteSandboxRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_DeleteSandboxResponse__Output>): grpc.ClientUnaryCall;
  DeleteSandbox(argument: _warmpool_v1_DeleteSandboxRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_warmpool_v1_DeleteSandboxResponse__Output>): grpc.ClientUnaryCall;
  DeleteSandbox(argument: _warmpool_v1_DeleteSandboxRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_DeleteSandboxResponse__Output>): grpc.ClientUnaryCall;
  DeleteSandbox(argument: _warmpool_v1_DeleteSandboxRequest, callback: grpc.requestCallback<_warmpool_v1_DeleteSandboxResponse__Output>): grpc.ClientUnaryCall;
  deleteSandbox(argument: _warmpool_v1_DeleteSandboxRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_DeleteSandboxResponse__Output>): grpc.ClientUnaryCall;
  deleteSandbox(argument: _warmpool_v1_DeleteSandboxRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_warmpool_v1_DeleteSandboxResponse__Output>): grpc.ClientUnaryCall;
  deleteSandbox(argument: _warmpool_v1_DeleteSandboxRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_DeleteSandboxResponse__Output>): grpc.ClientUnaryCall;
  deleteSandbox(argument: _warmpool_v1_DeleteSandboxRequest, callback: grpc.requestCallback<_warmpool_v1_DeleteSandboxResponse__Output>): grpc.ClientUnaryCall;
  
  GetSandbox(argument: _warmpool_v1_GetSandboxRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_GetSandboxResponse__Output>): grpc.ClientUnaryCall;
  GetSandbox(argument: _warmpool_v1_GetSandboxRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_warmpool_v1_GetSandboxResponse__Output>): grpc.ClientUnaryCall;
  GetSandbox(argument: _warmpool_v1_GetSandboxRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_GetSandboxResponse__Output>): grpc.ClientUnaryCall;
  GetSandbox(argument: _warmpool_v1_GetSandboxRequest, callback: grpc.requestCallback<_warmpool_v1_GetSandboxResponse__Output>): grpc.ClientUnaryCall;
  getSandbox(argument: _warmpool_v1_GetSandboxRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_GetSandboxResponse__Output>): grpc.ClientUnaryCall;
  getSandbox(argument: _warmpool_v1_GetSandboxRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_warmpool_v1_GetSandboxResponse__Output>): grpc.ClientUnaryCall;
  getSandbox(argument: _warmpool_v1_GetSandboxRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_GetSandboxResponse__Output>): grpc.ClientUnaryCall;
  getSandbox(argument: _warmpool_v1_GetSandboxRequest, callback: grpc.requestCallback<_warmpool_v1_GetSandboxResponse__Output>): grpc.ClientUnaryCall;
  
  KeepAlive(argument: _warmpool_v1_KeepAliveRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_KeepAliveResponse__Output>): grpc.ClientUnaryCall;
  KeepAlive(argument: _warmpool_v1_KeepAliveRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_warmpool_v1_KeepAliveResponse__Output>): grpc.ClientUnaryCall;
  KeepAlive(argument: _warmpool_v1_KeepAliveRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_KeepAliveResponse__Output>): grpc.ClientUnaryCall;
  KeepAlive(argument: _warmpool_v1_KeepAliveRequest, callback: grpc.requestCallback<_warmpool_v1_KeepAliveResponse__Output>): grpc.ClientUnaryCall;
  keepAlive(argument: _warmpool_v1_KeepAliveRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_KeepAliveResponse__Output>): grpc.ClientUnaryCall;
  keepAlive(argument: _warmpool_v1_KeepAliveRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_warmpool_v1_KeepAliveResponse__Output>): grpc.ClientUnaryCall;
  keepAlive(argument: _warmpool_v1_KeepAliveRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_KeepAliveResponse__Output>): grpc.ClientUnaryCall;
  keepAlive(argument: _warmpool_v1_KeepAliveRequest, callback: grpc.requestCallback<_warmpool_v1_KeepAliveResponse__Output>): grpc.ClientUnaryCall;
  
  KeepAliveStream(metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientDuplexStream<_warmpool_v1_KeepAliveStreamRequest, _warmpool_v1_KeepAliveStreamResponse__Output>;
  KeepAliveStream(options?: grpc.CallOptions): grpc.ClientDuplexStream<_warmpool_v1_KeepAliveStreamRequest, _warmpool_v1_KeepAliveStreamResponse__Output>;
  keepAliveStream(metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientDuplexStream<_warmpool_v1_KeepAliveStreamRequest, _warmpool_v1_KeepAliveStreamResponse__Output>;
  keepAliveStream(options?: grpc.CallOptions): grpc.ClientDuplexStream<_warmpool_v1_KeepAliveStreamRequest, _warmpool_v1_KeepAliveStreamResponse__Output>;
  
  ListSandboxes(argument: _warmpool_v1_ListSandboxesRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_ListSandboxesResponse__Output>): grpc.ClientUnaryCall;
  ListSandboxes(argument: _warmpool_v1_ListSandboxesRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_warmpool_v1_ListSandboxesResponse__Output>): grpc.ClientUnaryCall;
  ListSandboxes(argument: _warmpool_v1_ListSandboxesRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_ListSandboxesResponse__Output>): grpc.ClientUnaryCall;
  ListSandboxes(argument: _warmpool_v1_ListSandboxesRequest, callback: grpc.requestCallback<_warmpool_v1_ListSandboxesResponse__Output>): grpc.ClientUnaryCall;
  listSandboxes(argument: _warmpool_v1_ListSandboxesRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_ListSandboxesResponse__Output>): grpc.ClientUnaryCall;
  listSandboxes(argument: _warmpool_v1_ListSandboxesRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_warmpool_v1_ListSandboxesResponse__Output>): grpc.ClientUnaryCall;
  listSandboxes(argument: _warmpool_v1_ListSandboxesRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_ListSandboxesResponse__Output>): grpc.ClientUnaryCall;
  listSandboxes(argument: _warmpool_v1_ListSandboxesRequest, callback: grpc.requestCallback<_warmpool_v1_ListSandboxesResponse__Output>): grpc.ClientUnaryCall;
  
  SetTimeout(argument: _warmpool_v1_SetTimeoutRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_SetTimeoutResponse__Output>): grpc.ClientUnaryCall;
  SetTimeout(argument: _warmpool_v1_SetTimeoutRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_warmpool_v1_SetTimeoutResponse__Output>): grpc.ClientUnaryCall;
  SetTimeout(argument: _warmpool_v1_SetTimeoutRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_SetTimeoutResponse__Output>): grpc.ClientUnaryCall;
  SetTimeout(argument: _warmpool_v1_SetTimeoutRequest, callback: grpc.requestCallback<_warmpool_v1_SetTimeoutResponse__Output>): grpc.ClientUnaryCall;
  setTimeout(argument: _warmpool_v1_SetTimeoutRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_SetTimeoutResponse__Output>): grpc.ClientUnaryCall;
  setTimeout(argument: _warmpool_v1_SetTimeoutRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_warmpool_v1_SetTimeoutResponse__Output>): grpc.ClientUnaryCall;
  setTimeout(argument: _warmpool_v1_SetTimeoutRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_SetTimeoutResponse__Output>): grpc.ClientUnaryCall;
  setTimeout(argument: _warmpool_v1_SetTimeoutRequest, callback: grpc.requestCallback<_warmpool_v1_SetTimeoutResponse__Output>): grpc.ClientUnaryCall;
  
  WatchSandboxes(argument: _warmpool_v1_WatchSandboxesRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_warmpool_v1_WatchSandboxesResponse__Output>;
  WatchSandboxes(argument: _warmpool_v1_WatchSandboxesRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_warmpool_v1_WatchSandboxesResponse__Output>;
  watchSandboxes(argument: _warmpool_v1_WatchSandboxesRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_warmpool_v1_WatchSandboxesResponse__Output>;
  watchSandboxes(argument: _warmpool_v1_WatchSandboxesRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_warmpool_v1_WatchSandboxesResponse__Output>;
  
}

export interface SandboxServiceHandlers extends grpc.UntypedServiceImplementation {
  CreateSandbox: grpc.handleUnaryCall<_warmpool_v1_CreateSandboxRequest__Output, _warmpool_v1_CreateSandboxResponse>;
  
  DeleteSandbox: grpc.handleUnaryCall<_warmpool_v1_DeleteSandboxRequest__Output, _warmpool_v1_DeleteSandboxResponse>;
  
  GetSandbox: grpc.handleUnaryCall<_warmpool_v1_GetSandboxRequest__Output, _warmpool_v1_GetSandboxResponse>;
  
  KeepAlive: grpc.handleUnaryCall<_warmpool_v1_KeepAliveRequest__Output, _warmpool_v1_KeepAliveResponse>;
  
  KeepAliveStream: grpc.handleBidiStreamingCall<_warmpool_v1_KeepAliveStreamRequest__Output, _warmpool_v1_KeepAliveStreamResponse>;
  
  ListSandboxes: grpc.handleUnaryCall<_warmpool_v1_ListSandboxesRequest__Output, _warmpool_v1_ListSandboxesResponse>;
  
  SetTimeout: grpc.handleUnaryCall<_warmpool_v1_SetTimeoutRequest__Output, _warmpool_v1_SetTimeoutResponse>;
  
  WatchSandboxes: grpc.handleServerStreamingCall<_warmpool_v1_WatchSandboxesRequest__Output, _warmpool_v1_WatchSandboxesResponse>;
  
}

export interface SandboxServiceDefinition extends grpc.ServiceDefinition {
  CreateSandbox: MethodDefinition<_warmpool_v1_CreateSandboxRequest, _warmpool_v1_CreateSandboxResponse, _warmpool_v1_CreateSandboxRequest__Output, _warmpool_v1_CreateSandboxResponse__Output>
  DeleteSandbox: MethodDefinition<_warmpool_v1_DeleteSandboxRequest, _warmpool_v1_DeleteSandboxResponse, _warmpool_v1_DeleteSandboxRequest__Output, _warmpool_v1_DeleteSandboxResponse__Output>
  GetSandbox: MethodDefinition<_warmpool_v1_GetSandboxRequest, _warmpool_v1_GetSandboxResponse, _warmpool_v1_GetSandboxRequest__Output, _warmpool_v1_GetSandboxResponse__Output>
  KeepAlive: MethodDefinition<_warmpool_v1_KeepAliveRequest, _warmpool_v1_KeepAliveResponse, _warmpool_v1_KeepAliveRequest__Output, _warmpool_v1_KeepAliveResponse__Output>
  KeepAliveStream: MethodDefinition<_warmpool_v1_KeepAliveStreamRequest, _warmpool_v1_KeepAliveStreamResponse, _warmpool_v1_KeepAliveStreamRequest__Output, _warmpool_v1_KeepAliveStreamResponse__Output>
  ListSandboxes: MethodDefinition<_warmpool_v1_ListSandboxesRequest, _warmpool_v1_ListSandboxesResponse, _warmpool_v1_ListSandboxesRequest__Output, _warmpool_v1_ListSandboxesResponse__Output>
  SetTimeout: MethodDefinition<_warmpool_v1_SetTimeoutRequest, _warmpool_v1_SetTimeoutResponse, _warmpool_v1_SetTimeoutRequest__Output, _warmpool_v1_SetTimeoutResponse__Output>
  WatchSandboxes: MethodDefinition<_warmpool_v1_WatchSandboxesRequest, _warmpool_v1_WatchSandboxesResponse, _warmpool_v1_WatchSandboxesRequest__Output, _warmpool_v1_WatchSandboxesResponse__Output>
}
