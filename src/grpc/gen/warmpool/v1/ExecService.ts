// Original file: proto/warmpool/v1/exec_service.proto

import type * as grpc from '@grpc/grpc-js'
import type { MethodDefinition } from '@grpc/proto-loader'
import type { ExecRequest as _warmpool_v1_ExecRequest, ExecRequest__Output as _warmpool_v1_ExecRequest__Output } from '../../warmpool/v1/ExecRequest.ts';
import type { ExecResponse as _warmpool_v1_ExecResponse, ExecResponse__Output as _warmpool_v1_ExecResponse__Output } from '../../warmpool/v1/ExecResponse.ts';
import type { ExecStreamRequest as _warmpool_v1_ExecStreamRequest, ExecStreamRequest__Output as _warmpool_v1_ExecStreamRequest__Output } from '../../warmpool/v1/ExecStreamRequest.ts';
import type { ExecStreamResponse as _warmpool_v1_ExecStreamResponse, ExecStreamResponse__Output as _warmpool_v1_ExecStreamResponse__Output } from '../../warmpool/v1/ExecStreamResponse.ts';
import type { ListProcessesRequest as _warmpool_v1_ListProcessesRequest, ListProcessesRequest__Output as _warmpool_v1_ListProcessesRequest__Output } from '../../warmpool/v1/ListProcessesRequest.ts';
import type { ListProcessesResponse as _warmpool_v1_ListProcessesResponse, ListProcessesResponse__Output as _warmpool_v1_ListProcessesResponse__Output } from '../../warmpool/v1/ListProcessesResponse.ts';

export interface ExecServiceClient extends grpc.Client {
  Exec(argument: _warmpool_v1_ExecRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_ExecResponse__Output>): grpc.ClientUnaryCall;
  Exec(argument: _warmpool_v1_ExecRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_warmpool_v1_ExecResponse__Output>): grpc.ClientUnaryCall;
  Exec(argument: _warmpool_v1_ExecRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_ExecResponse__Output>): grpc.ClientUnaryCall;
  Exec(argument: _warmpool_v1_ExecRequest, callback: grpc.requestCallback<_warmpool_v1_ExecResponse__Output>): grpc.ClientUnaryCall;
  exec(argument: _warmpool_v1_ExecRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_ExecResponse__Output>): grpc.ClientUnaryCall;
  exec(argument: _warmpool_v1_ExecRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_warmpool_v1_ExecResponse__Output>): grpc.ClientUnaryCall;
  exec(argument: _warmpool_v1_ExecRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_ExecResponse__Output>): grpc.ClientUnaryCall;
  exec(argument: _warmpool_v1_ExecRequest, callback: grpc.requestCallback<_warmpool_v1_ExecResponse__Output>): grpc.ClientUnaryCall;
  
  ExecStream(metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientDuplexStream<_warmpool_v1_ExecStreamRequest, _warmpool_v1_ExecStreamResponse__Output>;
  ExecStream(options?: grpc.CallOptions): grpc.ClientDuplexStream<_warmpool_v1_ExecStreamRequest, _warmpool_v1_ExecStreamResponse__Output>;
  execStream(metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientDuplexStream<_warmpool_v1_ExecStreamRequest, _warmpool_v1_ExecStreamResponse__Output>;
  execStream(options?: grpc.CallOptions): grpc.ClientDuplexStream<_warmpool_v1_ExecStreamRequest, _warmpool_v1_ExecStreamResponse__Output>;
  
  ListProcesses(argument: _warmpool_v1_ListProcessesRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_ListProcessesResponse__Output>): grpc.ClientUnaryCall;
  ListProcesses(argument: _warmpool_v1_ListProcessesRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_warmpool_v1_ListProcessesResponse__Output>): grpc.ClientUnaryCall;
  ListProcesses(argument: _warmpool_v1_ListProcessesRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_ListProcessesResponse__Output>): grpc.ClientUnaryCall;
  ListProcesses(argument: _warmpool_v1_ListProcessesRequest, callback: grpc.requestCallback<_warmpool_v1_ListProcessesResponse__Output>): grpc.ClientUnaryCall;
  listProcesses(argument: _warmpool_v1_ListProcessesRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_ListProcessesResponse__Output>): grpc.ClientUnaryCall;
  listProcesses(argument: _warmpool_v1_ListProcessesRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_warmpool_v1_ListProcessesResponse__Output>): grpc.ClientUnaryCall;
  listProcesses(argument: _warmpool_v1_ListProcessesRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_ListProcessesResponse__Output>): grpc.ClientUnaryCall;
  listProcesses(argument: _warmpool_v1_ListProcessesRequest, callback: grpc.requestCallback<_warmpool_v1_ListProcessesResponse__Output>): grpc.ClientUnaryCall;
  
}

export interface ExecServiceHandlers extends grpc.UntypedServiceImplementation {
  Exec: grpc.handleUnaryCall<_warmpool_v1_ExecRequest__Output, _warmpool_v1_ExecResponse>;
  
  ExecStream: grpc.handleBidiStreamingCall<_warmpool_v1_ExecStreamRequest__Output, _warmpool_v1_ExecStreamResponse>;
  
  ListProcesses: grpc.handleUnaryCall<_warmpool_v1_ListProcessesRequest__Output, _warmpool_v1_ListProcessesResponse>;
  
}

export interface ExecServiceDefinition extends grpc.ServiceDefinition {
  Exec: MethodDefinition<_warmpool_v1_ExecRequest, _warmpool_v1_ExecResponse, _warmpool_v1_ExecRequest__Output, _warmpool_v1_ExecResponse__Output>
  ExecStream: MethodDefinition<_warmpool_v1_ExecStreamRequest, _warmpool_v1_ExecStreamResponse, _warmpool_v1_ExecStreamRequest__Output, _warmpool_v1_ExecStreamResponse__Output>
  ListProcesses: MethodDefinition<_warmpool_v1_ListProcessesRequest, _warmpool_v1_ListProcessesResponse, _warmpool_v1_ListProcessesRequest__Output, _warmpool_v1_ListProcessesResponse__Output>
}
