// Original file: proto/warmpool/v1/exec_service.proto

import type { ExecStart as _warmpool_v1_ExecStart, ExecStart__Output as _warmpool_v1_ExecStart__Output } from '../../warmpool/v1/ExecStart.ts';
import type { ExecEof as _warmpool_v1_ExecEof, ExecEof__Output as _warmpool_v1_ExecEof__Output } from '../../warmpool/v1/ExecEof.ts';
import type { TerminalSize as _warmpool_v1_TerminalSize, TerminalSize__Output as _warmpool_v1_TerminalSize__Output } from '../../warmpool/v1/TerminalSize.ts';
import type { ExecAttach as _warmpool_v1_ExecAttach, ExecAttach__Output as _warmpool_v1_ExecAttach__Output } from '../../warmpool/v1/ExecAttach.ts';

export interface ExecStreamRequest {
  'start'?: (_warmpool_v1_ExecStart | null);
  'stdin'?: (Buffer | Uint8Array | string);
  'eof'?: (_warmpool_v1_ExecEof | null);
  'signal'?: (number);
  'resize'?: (_warmpool_v1_TerminalSize | null);
  'attach'?: (_warmpool_v1_ExecAttach | null);
  'message'?: "start"|"stdin"|"eof"|"signal"|"resize"|"attach";
}

export interface ExecStreamRequest__Output {
  'start'?: (_warmpool_v1_ExecStart__Output | null);
  'stdin'?: (Buffer);
  'eof'?: (_warmpool_v1_ExecEof__Output | null);
  'signal'?: (number);
  'resize'?: (_warmpool_v1_TerminalSize__Output | null);
  'attach'?: (_warmpool_v1_ExecAttach__Output | null);
  'message'?: "start"|"stdin"|"eof"|"signal"|"resize"|"attach";
}
