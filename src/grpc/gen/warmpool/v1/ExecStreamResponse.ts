// Original file: proto/warmpool/v1/exec_service.proto

import type { ExecStarted as _warmpool_v1_ExecStarted, ExecStarted__Output as _warmpool_v1_ExecStarted__Output } from '../../warmpool/v1/ExecStarted.ts';
import type { ExecExit as _warmpool_v1_ExecExit, ExecExit__Output as _warmpool_v1_ExecExit__Output } from '../../warmpool/v1/ExecExit.ts';

export interface ExecStreamResponse {
  'started'?: (_warmpool_v1_ExecStarted | null);
  'stdout'?: (Buffer | Uint8Array | string);
  'stderr'?: (Buffer | Uint8Array | string);
  'exit'?: (_warmpool_v1_ExecExit | null);
  'message'?: "started"|"stdout"|"stderr"|"exit";
}

export interface ExecStreamResponse__Output {
  'started'?: (_warmpool_v1_ExecStarted__Output | null);
  'stdout'?: (Buffer);
  'stderr'?: (Buffer);
  'exit'?: (_warmpool_v1_ExecExit__Output | null);
  'message'?: "started"|"stdout"|"stderr"|"exit";
}
