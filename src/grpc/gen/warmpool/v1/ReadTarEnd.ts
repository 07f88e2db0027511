// Original file: proto/warmpool/v1/file_service.proto

import type { Long } from '@grpc/proto-loader';

export interface ReadTarEnd {
  'entries'?: (number | string | Long);
  'bytes'?: (number | string | Long);
}

export interface ReadTarEnd__Output {
  'entries': (number);
  'bytes': (number);
}
