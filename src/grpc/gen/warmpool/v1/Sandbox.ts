// Original file: proto/warmpool/v1/sandbox.proto

import type { SandboxState as _warmpool_v1_SandboxState, SandboxState__Output as _warmpool_v1_SandboxState__Output } from '../../warmpool/v1/SandboxState.ts';
import type { Launch as _warmpool_v1_Launch, Launch__Output as _warmpool_v1_Launch__Output } from '../../warmpool/v1/Launch.ts';
import type { Timestamp as _google_protobuf_Timestamp, Timestamp__Output as _google_protobuf_Timestamp__Output } from '../../google/protobuf/Timestamp.ts';
import type { Duration as _google_protobuf_Duration, Duration__Output as _google_protobuf_Duration__Output } from '../../google/protobuf/Duration.ts';
import type { EndReason as _warmpool_v1_EndReason, EndReason__Output as _warmpool_v1_EndReason__Output } from '../../warmpool/v1/EndReason.ts';

export interface Sandbox {
  'id'?: (string);
  'template'?: (string);
  'state'?: (_warmpool_v1_SandboxState);
  'launch'?: (_warmpool_v1_Launch);
  'nodeId'?: (string);
  'createdAt'?: (_google_protobuf_Timestamp | null);
  'expiresAt'?: (_google_protobuf_Timestamp | null);
  'metadata'?: ({[key: string]: string});
  'wsUrl'?: (string);
  'dataToken'?: (string);
  'remaining'?: (_google_protobuf_Duration | null);
  'endOfLifeAt'?: (_google_protobuf_Timestamp | null);
  'endReason'?: (_warmpool_v1_EndReason);
  'failure'?: (string);
}

export interface Sandbox__Output {
  'id': (string);
  'template': (string);
  'state': (_warmpool_v1_SandboxState__Output);
  'launch': (_warmpool_v1_Launch__Output);
  'nodeId': (string);
  'createdAt': (_google_protobuf_Timestamp__Output | null);
  'expiresAt': (_google_protobuf_Timestamp__Output | null);
  'metadata': ({[key: string]: string});
  'wsUrl': (string);
  'dataToken': (string);
  'remaining': (_google_protobuf_Duration__Output | null);
  'endOfLifeAt': (_google_protobuf_Timestamp__Output | null);
  'endReason': (_warmpool_v1_EndReason__Output);
  'failure': (string);
}
