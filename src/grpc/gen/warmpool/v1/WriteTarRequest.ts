// Original file: proto/warmpool/v1/file_service.proto

import type { WriteTarHeader as _warmpool_v1_WriteTarHeader, WriteTarHeader__Output as _warmpool_v1_WriteTarHeader__Output } from '../../warmpool/v1/WriteTarHeader.ts';

export interface WriteTarRequest {
  'header'?: (_warmpool_v1_WriteTarHeader | null);
  'chunk'?: (Buffer | Uint8Array | string);
  'message'?: "header"|"chunk";
}

export interface WriteTarRequest__Output {
  'header'?: (_warmpool_v1_WriteTarHeader__Output | null);
  'chunk'?: (Buffer);
  'message'?: "header"|"chunk";
}
