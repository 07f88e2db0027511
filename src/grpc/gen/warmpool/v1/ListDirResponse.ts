// Original file: proto/warmpool/v1/file_service.proto

import type { FileEntry as _warmpool_v1_FileEntry, FileEntry__Output as _warmpool_v1_FileEntry__Output } from '../../warmpool/v1/FileEntry.ts';

export interface ListDirResponse {
  'entries'?: (_warmpool_v1_FileEntry)[];
  'nextPageToken'?: (string);
}

export interface ListDirResponse__Output {
  'entries': (_warmpool_v1_FileEntry__Output)[];
  'nextPageToken': (string);
}
