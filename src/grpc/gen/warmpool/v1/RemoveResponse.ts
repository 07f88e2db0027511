// Original file: proto/warmpool/v1/file_service.proto

import type { Long } from '@grpc/proto-loader';

export interface RemoveResponse {
  'removed'?: (number | string | Long);
}

export interface RemoveResponse__Output {
  'removed': (number);
}
