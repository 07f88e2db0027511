// Original file: proto/warmpool/v1/sandbox_service.proto

import type { Duration as _google_protobuf_Duration, Duration__Output as _google_protobuf_Duration__Output } from '../../google/protobuf/Duration.ts';
import type { OnMiss as _warmpool_v1_OnMiss, OnMiss__Output as _warmpool_v1_OnMiss__Output } from '../../warmpool/v1/OnMiss.ts';

export interface CreateSandboxRequest {
  'template'?: (string);
  'timeout'?: (_google_protobuf_Duration | null);
  'env'?: ({[key: string]: string});
  'metadata'?: ({[key: string]: string});
  'user'?: (string);
  'cwd'?: (string);
  'requestId'?: (string);
  'onMiss'?: (_warmpool_v1_OnMiss);
  'wait'?: (_google_protobuf_Duration | null);
}

export interface CreateSandboxRequest__Output {
  'template': (string);
  'timeout': (_google_protobuf_Duration__Output | null);
  'env': ({[key: string]: string});
  'metadata': ({[key: string]: string});
  'user': (string);
  'cwd': (string);
  'requestId': (string);
  'onMiss': (_warmpool_v1_OnMiss__Output);
  'wait': (_google_protobuf_Duration__Output | null);
}
