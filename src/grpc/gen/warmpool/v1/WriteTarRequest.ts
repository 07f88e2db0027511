// Original file: proto/warmpool/v1/file_service.proto

import type { WriteTarHeader as _warmpool_v1_WriteTarHeader, WriteTarHeader__Output as _warmpool_v1_WriteTarHeader__Output } from '../../warmpool/v1/WriteTarHeader.ts';
import type { UploadEnd as _warmpool_v1_UploadEnd, UploadEnd__Output as _warmpool_v1_UploadEnd__Output } from '../../warmpool/v1/UploadEnd.ts';

export interface WriteTarRequest {
  'header'?: (_warmpool_v1_WriteTarHeader | null);
  'chunk'?: (Buffer | Uint8Array | string);
  'end'?: (_warmpool_v1_UploadEnd | null);
  'message'?: "header"|"chunk"|"end";
}

export interface WriteTarRequest__Output {
  'header'?: (_warmpool_v1_WriteTarHeader__Output | null);
  'chunk'?: (Buffer);
  'end'?: (_warmpool_v1_UploadEnd__Output | null);
  'message'?: "header"|"chunk"|"end";
}
