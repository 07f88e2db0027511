// Original file: proto/warmpool/v1/file_service.proto

import type { Timestamp as _google_protobuf_Timestamp, Timestamp__Output as _google_protobuf_Timestamp__Output } from '../../google/protobuf/Timestamp.ts';

export interface ChangeRequest {
  'sandboxId'?: (string);
  'path'?: (string);
  'pathBytes'?: (Buffer | Uint8Array | string);
  'user'?: (string);
  'cwd'?: (string);
  'mode'?: (number);
  'owner'?: (string);
  'modifiedAt'?: (_google_protobuf_Timestamp | null);
  'noFollow'?: (boolean);
  '_mode'?: "mode";
}

export interface ChangeRequest__Output {
  'sandboxId': (string);
  'path': (string);
  'pathBytes': (Buffer);
  'user': (string);
  'cwd': (string);
  'mode'?: (number);
  'owner': (string);
  'modifiedAt': (_google_protobuf_Timestamp__Output | null);
  'noFollow': (boolean);
  '_mode'?: "mode";
}
