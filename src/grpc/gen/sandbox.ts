import type * as grpc from '@grpc/grpc-js';
import type { EnumTypeDefinition, MessageTypeDefinition } from '@grpc/proto-loader';

import type { Duration as _google_protobuf_Duration, Duration__Output as _google_protobuf_Duration__Output } from './google/protobuf/Duration.ts';
import type { Timestamp as _google_protobuf_Timestamp, Timestamp__Output as _google_protobuf_Timestamp__Output } from './google/protobuf/Timestamp.ts';
import type { Sandbox as _warmpool_v1_Sandbox, Sandbox__Output as _warmpool_v1_Sandbox__Output } from './warmpool/v1/Sandbox.ts';

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
      Launch: EnumTypeDefinition
      OnMiss: EnumTypeDefinition
      Sandbox: MessageTypeDefinition<_warmpool_v1_Sandbox, _warmpool_v1_Sandbox__Output>
      SandboxState: EnumTypeDefinition
    }
  }
}

