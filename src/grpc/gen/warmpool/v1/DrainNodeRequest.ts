// Original file: proto/warmpool/v1/node_service.proto

import type { Duration as _google_protobuf_Duration, Duration__Output as _google_protobuf_Duration__Output } from '../../google/protobuf/Duration.ts';

export interface DrainNodeRequest {
  'id'?: (string);
  'timeout'?: (_google_protobuf_Duration | null);
}

export interface DrainNodeRequest__Output {
  'id': (string);
  'timeout': (_google_protobuf_Duration__Output | null);
}
