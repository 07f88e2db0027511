// Original file: proto/warmpool/v1/exec_service.proto

import type { ProcessInfo as _warmpool_v1_ProcessInfo, ProcessInfo__Output as _warmpool_v1_ProcessInfo__Output } from '../../warmpool/v1/ProcessInfo.ts';

export interface ListProcessesResponse {
  'processes'?: (_warmpool_v1_ProcessInfo)[];
}

export interface ListProcessesResponse__Output {
  'processes': (_warmpool_v1_ProcessInfo__Output)[];
}
