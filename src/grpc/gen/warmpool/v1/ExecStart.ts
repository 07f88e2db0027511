// Original file: proto/warmpool/v1/exec_service.proto

import type { Duration as _google_protobuf_Duration, Duration__Output as _google_protobuf_Duration__Output } from '../../google/protobuf/Duration.ts';

export interface ExecStart {
  'sandboxId'?: (string);
  'argv'?: (string)[];
  'env'?: ({[key: string]: string});
  'cwd'?: (string);
  'user'?: (string);
  'timeout'?: (_google_protobuf_Duration | null);
  'noStdin'?: (boolean);
}

export interface ExecStart__Output {
  'sandboxId': (string);
  'argv': (string)[];
  'env': ({[key: string]: string});
  'cwd': (string);
  'user': (string);
  'timeout': (_google_protobuf_Duration__Output | null);
  'noStdin': (boolean);
}
