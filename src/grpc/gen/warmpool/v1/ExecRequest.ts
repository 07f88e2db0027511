// Original file: proto/warmpool/v1/exec_service.proto

import type { Duration as _google_protobuf_Duration, Duration__Output as _google_protobuf_Duration__Output } from '../../google/protobuf/Duration.ts';

export interface ExecRequest {
  'sandboxId'?: (string);
  'argv'?: (string)[];
  'env'?: ({[key: string]: string});
  'cwd'?: (string);
  'user'?: (string);
  'stdin'?: (Buffer | Uint8Array | string);
  'timeout'?: (_google_protobuf_Duration | null);
  'outputLimitBytes'?: (number);
}

export interface ExecRequest__Output {
  'sandboxId': (string);
  'argv': (string)[];
  'env': ({[key: string]: string});
  'cwd': (string);
  'user': (string);
  'stdin': (Buffer);
  'timeout': (_google_protobuf_Duration__Output | null);
  'outputLimitBytes': (number);
}
