// Original file: proto/warmpool/v1/sandbox_service.proto

import type { Duration as _google_protobuf_Duration, Duration__Output as _google_protobuf_Duration__Output } from '../../google/protobuf/Duration.ts';

export interface SetTimeoutRequest {
  'id'?: (string);
  'timeout'?: (_google_protobuf_Duration | null);
}

export interface SetTimeoutRequest__Output {
  'id': (string);
  'timeout': (_google_protobuf_Duration__Output | null);
}
