// Original file: proto/warmpool/v1/exec_service.proto

import type { Duration as _google_protobuf_Duration, Duration__Output as _google_protobuf_Duration__Output } from '../../google/protobuf/Duration.ts';

export interface ExecResponse {
  'exitCode'?: (number);
  'signal'?: (number);
  'stdout'?: (Buffer | Uint8Array | string);
  'stderr'?: (Buffer | Uint8Array | string);
  'stdoutTruncated'?: (boolean);
  'stderrTruncated'?: (boolean);
  'timedOut'?: (boolean);
  'duration'?: (_google_protobuf_Duration | null);
  '_exitCode'?: "exitCode";
}

export interface ExecResponse__Output {
  'exitCode'?: (number);
  'signal': (number);
  'stdout': (Buffer);
  'stderr': (Buffer);
  'stdoutTruncated': (boolean);
  'stderrTruncated': (boolean);
  'timedOut': (boolean);
  'duration': (_google_protobuf_Duration__Output | null);
  '_exitCode'?: "exitCode";
}
