// Original file: proto/warmpool/v1/sandbox_service.proto

import type { Timestamp as _google_protobuf_Timestamp, Timestamp__Output as _google_protobuf_Timestamp__Output } from '../../google/protobuf/Timestamp.ts';
import type { Duration as _google_protobuf_Duration, Duration__Output as _google_protobuf_Duration__Output } from '../../google/protobuf/Duration.ts';

export interface LeaseRenewal {
  'expiresAt'?: (_google_protobuf_Timestamp | null);
  'remaining'?: (_google_protobuf_Duration | null);
}

export interface LeaseRenewal__Output {
  'expiresAt': (_google_protobuf_Timestamp__Output | null);
  'remaining': (_google_protobuf_Duration__Output | null);
}
