// Original file: proto/warmpool/v1/file_service.proto

import type { Long } from '@grpc/proto-loader';

export interface WriteFileHeader {
  'sandboxId'?: (string);
  'path'?: (string);
  'pathBytes'?: (Buffer | Uint8Array | string);
  'user'?: (string);
  'cwd'?: (string);
  'mode'?: (number);
  'offset'?: (number | string | Long);
  'append'?: (boolean);
  'parents'?: (boolean);
  'exclusive'?: (boolean);
  'sync'?: (boolean);
  'sha256'?: (Buffer | Uint8Array | string);
  '_mode'?: "mode";
  '_offset'?: "offset";
}

export interface WriteFileHeader__Output {
  'sandboxId': (string);
  'path': (string);
  'pathBytes': (Buffer);
  'user': (string);
  'cwd': (string);
  'mode'?: (number);
  'offset'?: (number);
  'append': (boolean);
  'parents': (boolean);
  'exclusive': (boolean);
  'sync': (boolean);
  'sha256': (Buffer);
  '_mode'?: "mode";
  '_offset'?: "offset";
}
