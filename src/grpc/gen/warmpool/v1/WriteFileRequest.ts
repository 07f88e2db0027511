// Original file: proto/warmpool/v1/file_service.proto

import type { WriteFileHeader as _warmpool_v1_WriteFileHeader, WriteFileHeader__Output as _warmpool_v1_WriteFileHeader__Output } from '../../warmpool/v1/WriteFileHeader.ts';
import type { UploadEnd as _warmpool_v1_UploadEnd, UploadEnd__Output as _warmpool_v1_UploadEnd__Output } from '../../warmpool/v1/UploadEnd.ts';

export interface WriteFileRequest {
  'header'?: (_warmpool_v1_WriteFileHeader | null);
  'chunk'?: (Buffer | Uint8Array | string);
  'end'?: (_warmpool_v1_UploadEnd | null);
  'message'?: "header"|"chunk"|"end";
}

export interface WriteFileRequest__Output {
  'header'?: (_warmpool_v1_WriteFileHeader__Output | null);
  'chunk'?: (Buffer);
  'end'?: (_warmpool_v1_UploadEnd__Output | null);
  'message'?: "header"|"chunk"|"end";
}
