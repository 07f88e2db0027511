// Original file: proto/warmpool/v1/exec_service.proto

import type { ExecStart as _warmpool_v1_ExecStart, ExecStart__Output as _warmpool_v1_ExecStart__Output } from '../../warmpool/v1/ExecStart.ts';
import type { ExecEof as _warmpool_v1_ExecEof, ExecEof__Output as _warmpool_v1_ExecEof__Output } from '../../warmpool/v1/ExecEof.ts';

export interface ExecStreamRequest {
  'start'?: (_warmpool_v1_ExecStart | null);
  'stdin'?: (Buffer | Uint8Array | string);
  'eof'?: (_warmpool_v1_ExecEof | null);
  'signal'?: (number);
  'message'?: "start"|"stdin"|"eof"|"signal";
}

export interface ExecStreamRequest__Output {
  'start'?: (_warmpool_v1_ExecStart__Output | null);
  'stdin'?: (Buffer);
  'eof'?: (_warmpool_v1_ExecEof__Output | null);
  'signal'?: (number);
  'message'?: "start"|"stdin"|"eof"|"signal";
}
