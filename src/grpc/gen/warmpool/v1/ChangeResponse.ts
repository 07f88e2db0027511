// Original file: proto/warmpool/v1/file_service.proto

import type { FileEntry as _warmpool_v1_FileEntry, FileEntry__Output as _warmpool_v1_FileEntry__Output } from '../../warmpool/v1/FileEntry.ts';

export interface ChangeResponse {
  'entry'?: (_warmpool_v1_FileEntry | null);
}

export interface ChangeResponse__Output {
  'entry': (_warmpool_v1_FileEntry__Output | null);
}
