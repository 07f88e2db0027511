// Original file: proto/warmpool/v1/sandbox_service.proto

import type { Sandbox as _warmpool_v1_Sandbox, Sandbox__Output as _warmpool_v1_Sandbox__Output } from '../../warmpool/v1/Sandbox.ts';

export interface SetTimeoutResponse {
  'sandbox'?: (_warmpool_v1_Sandbox | null);
}

export interface SetTimeoutResponse__Output {
  'sandbox': (_warmpool_v1_Sandbox__Output | null);
}
