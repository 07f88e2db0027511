// Original file: proto/warmpool/v1/file_service.proto

import type { FileEntry as _warmpool_v1_FileEntry, FileEntry__Output as _warmpool_v1_FileEntry__Output } from '../../warmpool/v1/FileEntry.ts';
import type { ReadTarEnd as _warmpool_v1_ReadTarEnd, ReadTarEnd__Output as _warmpool_v1_ReadTarEnd__Output } from '../../warmpool/v1/ReadTarEnd.ts';

export interface ReadTarResponse {
  'entry'?: (_warmpool_v1_FileEntry | null);
  'chunk'?: (Buffer | Uint8Array | string);
  'end'?: (_warmpool_v1_ReadTarEnd | null);
  'message'?: "entry"|"chunk"|"end";
}

export interface ReadTarResponse__Output {
  'entry'?: (_warmpool_v1_FileEntry__Output | null);
  'chunk'?: (Buffer);
  'end'?: (_warmpool_v1_ReadTarEnd__Output | null);
  'message'?: "entry"|"chunk"|"end";
}
