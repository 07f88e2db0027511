// Original file: proto/warmpool/v1/sandbox_service.proto

import type { Sandbox as _warmpool_v1_Sandbox, Sandbox__Output as _warmpool_v1_Sandbox__Output } from '../../warmpool/v1/Sandbox.ts';

export interface CreateSandboxResponse {
  'sandbox'?: (_warmpool_v1_Sandbox | null);
  'repeated'?: (boolean);
}

export interface CreateSandboxResponse__Output {
  'sandbox': (_warmpool_v1_Sandbox__Output | null);
  'repeated': (boolean);
}
