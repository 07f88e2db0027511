import type * as grpc from '@grpc/grpc-js';
import type { MessageTypeDefinition } from '@grpc/proto-loader';

import type { Duration as _google_protobuf_Duration, Duration__Output as _google_protobuf_Duration__Output } from './google/protobuf/Duration.ts';
import type { ExecAttach as _warmpool_v1_ExecAttach, ExecAttach__Output as _warmpool_v1_ExecAttach__Output } from './warmpool/v1/ExecAttach.ts';
import type { ExecEof as _warmpool_v1_ExecEof, ExecEof__Output as _warmpool_v1_ExecEof__Output } from './warmpool/v1/ExecEof.ts';
import type { ExecExit as _warmpool_v1_ExecExit, ExecExit__Output as _warmpool_v1_ExecExit__Output } from './warmpool/v1/ExecExit.ts';
import type { ExecRequest as _warmpool_v1_ExecRequest, ExecRequest__Output as _warmpool_v1_ExecRequest__Output } from './warmpool/v1/ExecRequest.ts';
import type { ExecResponse as _warmpool_v1_ExecResponse, ExecResponse__Output as _warmpool_v1_ExecResponse__Output } from './warmpool/v1/ExecResponse.ts';
import type { ExecServiceClient as _warmpool_v1_ExecServiceClient, ExecServiceDefinition as _warmpool_v1_ExecServiceDefinition } from './warmpool/v1/ExecService.ts';
import type { ExecStart as _warmpool_v1_ExecStart, ExecStart__Output as _warmpool_v1_ExecStart__Output } from './warmpool/v1/ExecStart.ts';
import type { ExecStarted as _warmpool_v1_ExecStarted, ExecStarted__Output as _warmpool_v1_ExecStarted__Output } from './warmpool/v1/ExecStarted.ts';
import type { ExecStreamRequest as _warmpool_v1_ExecStreamRequest, ExecStreamRequest__Output as _warmpool_v1_ExecStreamRequest__Output } from './warmpool/v1/ExecStreamRequest.ts';
import type { ExecStreamResponse as _warmpool_v1_ExecStreamResponse, ExecStreamResponse__Output as _warmpool_v1_ExecStreamResponse__Output } from './warmpool/v1/ExecStreamResponse.ts';
import type { ListProcessesRequest as _warmpool_v1_ListProcessesRequest, ListProcessesRequest__Output as _warmpool_v1_ListProcessesRequest__Output } from './warmpool/v1/ListProcessesRequest.ts';
import type { ListProcessesResponse as _warmpool_v1_ListProcessesResponse, ListProcessesResponse__Output as _warmpool_v1_ListProcessesResponse__Output } from './warmpool/v1/ListProcessesResponse.ts';
import type { ProcessInfo as _warmpool_v1_ProcessInfo, ProcessInfo__Output as _warmpool_v1_ProcessInfo__Output } from './warmpool/v1/ProcessInfo.ts';
import type { TerminalSize as _warmpool_v1_TerminalSize, TerminalSize__Output as _warmpool_v1_TerminalSize__Output } from './warmpool/v1/TerminalSize.ts';

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
      ExecAttach: MessageTypeDefinition<_warmpool_v1_ExecAttach, _warmpool_v1_ExecAttach__Output>
      ExecEof: MessageTypeDefinition<_warmpool_v1_ExecEof, _warmpool_v1_ExecEof__Output>
      ExecExit: MessageTypeDefinition<_warmpool_v1_ExecExit, _warmpool_v1_ExecExit__Output>
      ExecRequest: MessageTypeDefinition<_warmpool_v1_ExecRequest, _warmpool_v1_ExecRequest__Output>
      ExecResponse: MessageTypeDefinition<_warmpool_v1_ExecResponse, _warmpool_v1_ExecResponse__Output>
      ExecService: SubtypeConstructor<typeof grpc.Client, _warmpool_v1_ExecServiceClient> & { service: _warmpool_v1_ExecServiceDefinition }
      ExecStart: MessageTypeDefinition<_warmpool_v1_ExecStart, _warmpool_v1_ExecStart__Output>
      ExecStarted: MessageTypeDefinition<_warmpool_v1_ExecStarted, _warmpool_v1_ExecStarted__Output>
      ExecStreamRequest: MessageTypeDefinition<_warmpool_v1_ExecStreamRequest, _warmpool_v1_ExecStreamRequest__Output>
      ExecStreamResponse: MessageTypeDefinition<_warmpool_v1_ExecStreamResponse, _warmpool_v1_ExecStreamResponse__Output>
      ListProcessesRequest: MessageTypeDefinition<_warmpool_v1_ListProcessesRequest, _warmpool_v1_ListProcessesRequest__Output>
      ListProcessesResponse: MessageTypeDefinition<_warmpool_v1_ListProcessesResponse, _warmpool_v1_ListProcessesResponse__Output>
      ProcessInfo: MessageTypeDefinition<_warmpool_v1_ProcessInfo, _warmpool_v1_ProcessInfo__Output>
      TerminalSize: MessageTypeDefinition<_warmpool_v1_TerminalSize, _warmpool_v1_TerminalSize__Output>
    }
  }
}

