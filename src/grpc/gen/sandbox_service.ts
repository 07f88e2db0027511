import type * as grpc from '@grpc/grpc-js';
import type { EnumTypeDefinition, MessageTypeDefinition } from '@grpc/proto-loader';

import type { Duration as _google_protobuf_Duration, Duration__Output as _google_protobuf_Duration__Output } from './google/protobuf/Duration.ts';
import type { Timestamp as _google_protobuf_Timestamp, Timestamp__Output as _google_protobuf_Timestamp__Output } from './google/protobuf/Timestamp.ts';
import type { CreateSandboxRequest as _warmpool_v1_CreateSandboxRequest, CreateSandboxRequest__Output as _warmpool_v1_CreateSandboxRequest__Output } from './warmpool/v1/CreateSandboxRequest.ts';
import type { CreateSandboxResponse as _warmpool_v1_CreateSandboxResponse, CreateSandboxResponse__Output as _warmpool_v1_CreateSandboxResponse__Output } from './warmpool/v1/CreateSandboxResponse.ts';
import type { DeleteSandboxRequest as _warmpool_v1_DeleteSandboxRequest, DeleteSandboxRequest__Output as _warmpool_v1_DeleteSandboxRequest__Output } from './warmpool/v1/DeleteSandboxRequest.ts';
import type { DeleteSandboxResponse as _warmpool_v1_DeleteSandboxResponse, DeleteSandboxResponse__Output as _warmpool_v1_DeleteSandboxResponse__Output } from './warmpool/v1/DeleteSandboxResponse.ts';
import type { Error as _warmpool_v1_Error, Error__Output as _warmpool_v1_Error__Output } from './warmpool/v1/Error.ts';
import type { GetSandboxRequest as _warmpool_v1_GetSandboxRequest, GetSandboxRequest__Output as _warmpool_v1_GetSandboxRequest__Output } from './warmpool/v1/GetSandboxRequest.ts';
import type { GetSandboxResponse as _warmpool_v1_GetSandboxResponse, GetSandboxResponse__Output as _warmpool_v1_GetSandboxResponse__Output } from './warmpool/v1/GetSandboxResponse.ts';
import type { KeepAliveRequest as _warmpool_v1_KeepAliveRequest, KeepAliveRequest__Output as _warmpool_v1_KeepAliveRequest__Output } from './warmpool/v1/KeepAliveRequest.ts';
import type { KeepAliveResponse as _warmpool_v1_KeepAliveResponse, KeepAliveResponse__Output as _warmpool_v1_KeepAliveResponse__Output } from './warmpool/v1/KeepAliveResponse.ts';
import type { KeepAliveStreamRequest as _warmpool_v1_KeepAliveStreamRequest, KeepAliveStreamRequest__Output as _warmpool_v1_KeepAliveStreamRequest__Output } from './warmpool/v1/KeepAliveStreamRequest.ts';
import type { KeepAliveStreamResponse as _warmpool_v1_KeepAliveStreamResponse, KeepAliveStreamResponse__Output as _warmpool_v1_KeepAliveStreamResponse__Output } from './warmpool/v1/KeepAliveStreamResponse.ts';
import type { LeaseRenewal as _warmpool_v1_LeaseRenewal, LeaseRenewal__Output as _warmpool_v1_LeaseRenewal__Output } from './warmpool/v1/LeaseRenewal.ts';
import type { ListSandboxesRequest as _warmpool_v1_ListSandboxesRequest, ListSandboxesRequest__Output as _warmpool_v1_ListSandboxesRequest__Output } from './warmpool/v1/ListSandboxesRequest.ts';
import type { ListSandboxesResponse as _warmpool_v1_ListSandboxesResponse, ListSandboxesResponse__Output as _warmpool_v1_ListSandboxesResponse__Output } from './warmpool/v1/ListSandboxesResponse.ts';
import type { Sandbox as _warmpool_v1_Sandbox, Sandbox__Output as _warmpool_v1_Sandbox__Output } from './warmpool/v1/Sandbox.ts';
import type { SandboxEvent as _warmpool_v1_SandboxEvent, SandboxEvent__Output as _warmpool_v1_SandboxEvent__Output } from './warmpool/v1/SandboxEvent.ts';
import type { SandboxServiceClient as _warmpool_v1_SandboxServiceClient, SandboxServiceDefinition as _warmpool_v1_SandboxServiceDefinition } from './warmpool/v1/SandboxService.ts';
import type { SetTimeoutRequest as _warmpool_v1_SetTimeoutRequest, SetTimeoutRequest__Output as _warmpool_v1_SetTimeoutRequest__Output } from './warmpool/v1/SetTimeoutRequest.ts';
import type { SetTimeoutResponse as _warmpool_v1_SetTimeoutResponse, SetTimeoutResponse__Output as _warmpool_v1_SetTimeoutResponse__Output } from './warmpool/v1/SetTimeoutResponse.ts';
import type { WatchSandboxesRequest as _warmpool_v1_WatchSandboxesRequest, WatchSandboxesRequest__Output as _warmpool_v1_WatchSandboxesRequest__Output } from './warmpool/v1/WatchSandboxesRequest.ts';
import type { WatchSandboxesResponse as _warmpool_v1_WatchSandboxesResponse, WatchSandboxesResponse__Output as _warmpool_v1_WatchSandboxesResponse__Output } from './warmpool/v1/WatchSandboxesResponse.ts';

type SubtypeConstructor<Constructor extends new (...args: any) => any, Subtype> = {
  new(...args: ConstructorParameters<Constructor>): Subtype;
};

export interface ProtoGrpcType {
  google: {
    protobuf: {
      Duration: MessageTypeDefinition<_google_protobuf_Duration, _google_protobuf_Duration__Output>
      Timestamp: MessageTypeDefinition<_google_protobuf_Timestamp, _google_protobuf_Timestamp__Output>
    }
  }
  warmpool: {
    v1: {
      CreateSandboxRequest: MessageTypeDefinition<_warmpool_v1_CreateSandboxRequest, _warmpool_v1_CreateSandboxRequest__Output>
      CreateSandboxResponse: MessageTypeDefinition<_warmpool_v1_CreateSandboxResponse, _warmpool_v1_CreateSandboxResponse__Output>
      DeleteSandboxRequest: MessageTypeDefinition<_warmpool_v1_DeleteSandboxRequest, _warmpool_v1_DeleteSandboxRequest__Output>
      DeleteSandboxResponse: MessageTypeDefinition<_warmpool_v1_DeleteSandboxResponse, _warmpool_v1_DeleteSandboxResponse__Output>
      EndReason: EnumTypeDefinition
      Error: MessageTypeDefinition<_warmpool_v1_Error, _warmpool_v1_Error__Output>
      GetSandboxRequest: MessageTypeDefinition<_warmpool_v1_GetSandboxRequest, _warmpool_v1_GetSandboxRequest__Output>
      GetSandboxResponse: MessageTypeDefinition<_warmpool_v1_GetSandboxResponse, _warmpool_v1_GetSandboxResponse__Output>
      KeepAliveRequest: MessageTypeDefinition<_warmpool_v1_KeepAliveRequest, _warmpool_v1_KeepAliveRequest__Output>
      KeepAliveResponse: MessageTypeDefinition<_warmpool_v1_KeepAliveResponse, _warmpool_v1_KeepAliveResponse__Output>
      KeepAliveStreamRequest: MessageTypeDefinition<_warmpool_v1_KeepAliveStreamRequest, _warmpool_v1_KeepAliveStreamRequest__Output>
      KeepAliveStreamResponse: MessageTypeDefinition<_warmpool_v1_KeepAliveStreamResponse, _warmpool_v1_KeepAliveStreamResponse__Output>
      Launch: EnumTypeDefinition
      LeaseRenewal: MessageTypeDefinition<_warmpool_v1_LeaseRenewal, _warmpool_v1_LeaseRenewal__Output>
      ListSandboxesRequest: MessageTypeDefinition<_warmpool_v1_ListSandboxesRequest, _warmpool_v1_ListSandboxesRequest__Output>
      ListSandboxesResponse: MessageTypeDefinition<_warmpool_v1_ListSandboxesResponse, _warmpool_v1_ListSandboxesResponse__Output>
      OnMiss: EnumTypeDefinition
      Sandbox: MessageTypeDefinition<_warmpool_v1_Sandbox, _warmpool_v1_Sandbox__Output>
      SandboxEvent: MessageTypeDefinition<_warmpool_v1_SandboxEvent, _warmpool_v1_SandboxEvent__Output>
      SandboxService: SubtypeConstructor<typeof grpc.Client, _warmpool_v1_SandboxServiceClient> & { service: _warmpool_v1_SandboxServiceDefinition }
      SandboxState: EnumTypeDefinition
      SetTimeoutRequest: MessageTypeDefinition<_warmpool_v1_SetTimeoutRequest, _warmpool_v1_SetTimeoutRequest__Output>
      SetTimeoutResponse: MessageTypeDefinition<_warmpool_v1_SetTimeoutResponse, _warmpool_v1_SetTimeoutResponse__Output>
      WatchSandboxesRequest: MessageTypeDefinition<_warmpool_v1_WatchSandboxesRequest, _warmpool_v1_WatchSandboxesRequest__Output>
      WatchSandboxesResponse: MessageTypeDefinition<_warmpool_v1_WatchSandboxesResponse, _warmpool_v1_WatchSandboxesResponse__Output>
    }
  }
}

