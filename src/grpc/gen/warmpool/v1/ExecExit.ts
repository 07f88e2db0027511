// Original file: proto/warmpool/v1/exec_service.proto

import type { Duration as _google_protobuf_Duration, Duration__Output as _google_protobuf_Duration__Output } from '../../google/protobuf/Duration.ts';

export interface ExecExit {
  'exitCode'?: (number);
  'signal'?: (number);
  'timedOut'?: (boolean);
  'duration'?: (_google_protobuf_Duration | null);
  '_exitCode'?: "exitCode";
}

export interface ExecExit__Output {
  'exitCode'?: (number);
  'signal': (number);
  'timedOut': (boolean);
  'duration': (_google_protobuf_Duration__Output | null);
  '_exitCode'?: "exitCode";
}
