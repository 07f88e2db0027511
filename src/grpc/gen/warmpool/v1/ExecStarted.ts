// Original file: proto/warmpool/v1/exec_service.proto

import type { Long } from '@grpc/proto-loader';

export interface ExecStarted {
  'pid'?: (number);
  'process'?: (number);
  'offset'?: (number | string | Long);
  'tty'?: (boolean);
}

export interface ExecStarted__Output {
  'pid': (number);
  'process': (number);
  'offset': (number);
  'tty': (boolean);
}
