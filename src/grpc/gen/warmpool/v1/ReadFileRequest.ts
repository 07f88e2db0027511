// Original file: proto/warmpool/v1/file_service.proto

import type { Long } from '@grpc/proto-loader';

export interface ReadFileRequest {
  'sandboxId'?: (string);
  'path'?: (string);
  'pathBytes'?: (Buffer | Uint8Array | string);
  'user'?: (string);
  'cwd'?: (string);
  'offset'?: (number | string | Long);
  'length'?: (number | string | Long);
  'sha256'?: (boolean);
  '_length'?: "length";
}

export interface ReadFileRequest__Output {
  'sandboxId': (string);
  'path': (string);
  'pathBytes': (Buffer);
  'user': (string);
  'cwd': (string);
  'offset': (number);
  'length'?: (number);
  'sha256': (boolean);
  '_length'?: "length";
}
