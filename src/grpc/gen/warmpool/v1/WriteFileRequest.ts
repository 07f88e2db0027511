// Original file: proto/warmpool/v1/file_service.proto

import type { WriteFileHeader as _warmpool_v1_WriteFileHeader, WriteFileHeader__Output as _warmpool_v1_WriteFileHeader__Output } from '../../warmpool/v1/WriteFileHeader.ts';

export interface WriteFileRequest {
  'header'?: (_warmpool_v1_WriteFileHeader | null);
  'chunk'?: (Buffer | Uint8Array | string);
  'message'?: "header"|"chunk";
}

export interface WriteFileRequest__Output {
  'header'?: (_warmpool_v1_WriteFileHeader__Output | null);
  'chunk'?: (Buffer);
  'message'?: "header"|"chunk";
}
