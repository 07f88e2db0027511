// Original file: proto/warmpool/v1/file_service.proto

import type { FileEventType as _warmpool_v1_FileEventType, FileEventType__Output as _warmpool_v1_FileEventType__Output } from '../../warmpool/v1/FileEventType.ts';
import type { FileKind as _warmpool_v1_FileKind, FileKind__Output as _warmpool_v1_FileKind__Output } from '../../warmpool/v1/FileKind.ts';

export interface WatchDirResponse {
  'type'?: (_warmpool_v1_FileEventType);
  'path'?: (string);
  'pathBytes'?: (Buffer | Uint8Array | string);
  'kind'?: (_warmpool_v1_FileKind);
}

export interface WatchDirResponse__Output {
  'type': (_warmpool_v1_FileEventType__Output);
  'path': (string);
  'pathBytes': (Buffer);
  'kind': (_warmpool_v1_FileKind__Output);
}
