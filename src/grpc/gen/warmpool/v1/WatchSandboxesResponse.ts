// Original file: proto/warmpool/v1/sandbox_service.proto

import type { SandboxEvent as _warmpool_v1_SandboxEvent, SandboxEvent__Output as _warmpool_v1_SandboxEvent__Output } from '../../warmpool/v1/SandboxEvent.ts';

export interface WatchSandboxesResponse {
  'event'?: (_warmpool_v1_SandboxEvent | null);
}

export interface WatchSandboxesResponse__Output {
  'event': (_warmpool_v1_SandboxEvent__Output | null);
}
