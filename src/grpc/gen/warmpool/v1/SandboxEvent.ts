// Original file: proto/warmpool/v1/sandbox_service.proto

import type { SandboxState as _warmpool_v1_SandboxState, SandboxState__Output as _warmpool_v1_SandboxState__Output } from '../../warmpool/v1/SandboxState.ts';
import type { EndReason as _warmpool_v1_EndReason, EndReason__Output as _warmpool_v1_EndReason__Output } from '../../warmpool/v1/EndReason.ts';
import type { Timestamp as _google_protobuf_Timestamp, Timestamp__Output as _google_protobuf_Timestamp__Output } from '../../google/protobuf/Timestamp.ts';

export interface SandboxEvent {
  'eventId'?: (string);
  'id'?: (string);
  'template'?: (string);
  'from'?: (_warmpool_v1_SandboxState);
  'to'?: (_warmpool_v1_SandboxState);
  'reason'?: (_warmpool_v1_EndReason);
  'at'?: (_google_protobuf_Timestamp | null);
  'nodeId'?: (string);
}

export interface SandboxEvent__Output {
  'eventId': (string);
  'id': (string);
  'template': (string);
  'from': (_warmpool_v1_SandboxState__Output);
  'to': (_warmpool_v1_SandboxState__Output);
  'reason': (_warmpool_v1_EndReason__Output);
  'at': (_google_protobuf_Timestamp__Output | null);
  'nodeId': (string);
}
