// Original file: proto/warmpool/v1/exec_service.proto

import type { Long } from '@grpc/proto-loader';

export interface ProcessInfo {
  'process'?: (number);
  'pid'?: (number);
  'argv0'?: (string);
  'tty'?: (boolean);
  'detach'?: (boolean);
  'attached'?: (boolean);
  'running'?: (boolean);
  'outputStart'?: (number | string | Long);
  'outputEnd'?: (number | string | Long);
  'exitCode'?: (number);
  'signal'?: (number);
  '_exitCode'?: "exitCode";
}

export interface ProcessInfo__Output {
  'process': (number);
  'pid': (number);
  'argv0': (string);
  'tty': (boolean);
  'detach': (boolean);
  'attached': (boolean);
  'running': (boolean);
  'outputStart': (number);
  'outputEnd': (number);
  'exitCode'?: (number);
  'signal': (number);
  '_exitCode'?: "exitCode";
}
