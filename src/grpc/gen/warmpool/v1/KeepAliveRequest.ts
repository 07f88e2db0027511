// Original file: proto/warmpool/v1/sandbox_service.proto

import type { Duration as _google_protobuf_Duration, Duration__Output as _google_protobuf_Duration__Output } from '../../google/protobuf/Duration.ts';

export interface KeepAliveRequest {
  'id'?: (string);
  'ttl'?: (_google_protobuf_Duration | null);
}

export interface KeepAliveRequest__Output {
  'id': (string);
  'ttl': (_google_protobuf_Duration__Output | null);
}
