// Original file: proto/warmpool/v1/file_service.proto

import type { Long } from '@grpc/proto-loader';

export interface WriteFileResponse {
  'bytes'?: (number | string | Long);
  'sha256'?: (Buffer | Uint8Array | string);
}

export interface WriteFileResponse__Output {
  'bytes': (number);
  'sha256': (Buffer);
}
