// Original file: proto/warmpool/v1/file_service.proto

import type { FileEntry as _warmpool_v1_FileEntry, FileEntry__Output as _warmpool_v1_FileEntry__Output } from '../../warmpool/v1/FileEntry.ts';
import type { ReadFileEnd as _warmpool_v1_ReadFileEnd, ReadFileEnd__Output as _warmpool_v1_ReadFileEnd__Output } from '../../warmpool/v1/ReadFileEnd.ts';

export interface ReadFileResponse {
  'entry'?: (_warmpool_v1_FileEntry | null);
  'chunk'?: (Buffer | Uint8Array | string);
  'end'?: (_warmpool_v1_ReadFileEnd | null);
  'message'?: "entry"|"chunk"|"end";
}

export interface ReadFileResponse__Output {
  'entry'?: (_warmpool_v1_FileEntry__Output | null);
  'chunk'?: (Buffer);
  'end'?: (_warmpool_v1_ReadFileEnd__Output | null);
  'message'?: "entry"|"chunk"|"end";
}
