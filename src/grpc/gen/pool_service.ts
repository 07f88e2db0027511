import type * as grpc from '@grpc/grpc-js';
import type { EnumTypeDefinition, MessageTypeDefinition } from '@grpc/proto-loader';

import type { Duration as _google_protobuf_Duration, Duration__Output as _google_protobuf_Duration__Output } from './google/protobuf/Duration.ts';
import type { Timestamp as _google_protobuf_Timestamp, Timestamp__Output as _google_protobuf_Timestamp__Output } from './google/protobuf/Timestamp.ts';
import type { GetPoolRequest as _warmpool_v1_GetPoolRequest, GetPoolRequest__Output as _warmpool_v1_GetPoolRequest__Output } from './warmpool/v1/GetPoolRequest.ts';
import type { GetPoolResponse as _warmpool_v1_GetPoolResponse, GetPoolResponse__Output as _warmpool_v1_GetPoolResponse__Output } from './warmpool/v1/GetPoolResponse.ts';
import type { ListPoolsRequest as _warmpool_v1_ListPoolsRequest, ListPoolsRequest__Output as _warmpool_v1_ListPoolsRequest__Output } from './warmpool/v1/ListPoolsRequest.ts';
import type { ListPoolsResponse as _warmpool_v1_ListPoolsResponse, ListPoolsResponse__Output as _warmpool_v1_ListPoolsResponse__Output } from './warmpool/v1/ListPoolsResponse.ts';
import type { Pool as _warmpool_v1_Pool, Pool__Output as _warmpool_v1_Pool__Output } from './warmpool/v1/Pool.ts';
import type { PoolCounters as _warmpool_v1_PoolCounters, PoolCounters__Output as _warmpool_v1_PoolCounters__Output } from './warmpool/v1/PoolCounters.ts';
import type { PoolServiceClient as _warmpool_v1_PoolServiceClient, PoolServiceDefinition as _warmpool_v1_PoolServiceDefinition } from './warmpool/v1/PoolService.ts';
import type { PoolSize as _warmpool_v1_PoolSize, PoolSize__Output as _warmpool_v1_PoolSize__Output } from './warmpool/v1/PoolSize.ts';
import type { PoolSizing as _warmpool_v1_PoolSizing, PoolSizing__Output as _warmpool_v1_PoolSizing__Output } from './warmpool/v1/PoolSizing.ts';
import type { Sandbox as _warmpool_v1_Sandbox, Sandbox__Output as _warmpool_v1_Sandbox__Output } from './warmpool/v1/Sandbox.ts';
import type { ScalePoolRequest as _warmpool_v1_ScalePoolRequest, ScalePoolRequest__Output as _warmpool_v1_ScalePoolRequest__Output } from './warmpool/v1/ScalePoolRequest.ts';
import type { ScalePoolResponse as _warmpool_v1_ScalePoolResponse, ScalePoolResponse__Output as _warmpool_v1_ScalePoolResponse__Output } from './warmpool/v1/ScalePoolResponse.ts';

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
      EndReason: EnumTypeDefinition
      GetPoolRequest: MessageTypeDefinition<_warmpool_v1_GetPoolRequest, _warmpool_v1_GetPoolRequest__Output>
      GetPoolResponse: MessageTypeDefinition<_warmpool_v1_GetPoolResponse, _warmpool_v1_GetPoolResponse__Output>
      Launch: EnumTypeDefinition
      ListPoolsRequest: MessageTypeDefinition<_warmpool_v1_ListPoolsRequest, _warmpool_v1_ListPoolsRequest__Output>
      ListPoolsResponse: MessageTypeDefinition<_warmpool_v1_ListPoolsResponse, _warmpool_v1_ListPoolsResponse__Output>
      OnMiss: EnumTypeDefinition
      Pool: MessageTypeDefinition<_warmpool_v1_Pool, _warmpool_v1_Pool__Output>
      PoolCounters: MessageTypeDefinition<_warmpool_v1_PoolCounters, _warmpool_v1_PoolCounters__Output>
      PoolService: SubtypeConstructor<typeof grpc.Client, _warmpool_v1_PoolServiceClient> & { service: _warmpool_v1_PoolServiceDefinition }
      PoolSize: MessageTypeDefinition<_warmpool_v1_PoolSize, _warmpool_v1_PoolSize__Output>
      PoolSizing: MessageTypeDefinition<_warmpool_v1_PoolSizing, _warmpool_v1_PoolSizing__Output>
      Sandbox: MessageTypeDefinition<_warmpool_v1_Sandbox, _warmpool_v1_Sandbox__Output>
      SandboxState: EnumTypeDefinition
      ScalePoolRequest: MessageTypeDefinition<_warmpool_v1_ScalePoolRequest, _warmpool_v1_ScalePoolRequest__Output>
      ScalePoolResponse: MessageTypeDefinition<_warmpool_v1_ScalePoolResponse, _warmpool_v1_ScalePoolResponse__Output>
      TargetLimit: EnumTypeDefinition
      TargetReason: EnumTypeDefinition
    }
  }
}

