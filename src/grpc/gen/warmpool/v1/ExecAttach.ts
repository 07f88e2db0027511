// Original file: proto/warmpool/v1/exec_service.proto

import type { Long } from '@grpc/proto-loader';

export interface ExecAttach {
  'sandboxId'?: (string);
  'process'?: (number);
  'offset'?: (number | string | Long);
  '_offset'?: "offset";
}

export interface ExecAttach__Output {
  'sandboxId': (string);
  'process': (number);
  'offset'?: (number);
  '_offset'?: "offset";
}
