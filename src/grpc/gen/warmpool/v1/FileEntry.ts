// Original file: proto/warmpool/v1/file_service.proto

import type { FileKind as _warmpool_v1_FileKind, FileKind__Output as _warmpool_v1_FileKind__Output } from '../../warmpool/v1/FileKind.ts';
import type { Timestamp as _google_protobuf_Timestamp, Timestamp__Output as _google_protobuf_Timestamp__Output } from '../../google/protobuf/Timestamp.ts';
import type { Long } from '@grpc/proto-loader';

export interface FileEntry {
  'name'?: (string);
  'nameBytes'?: (Buffer | Uint8Array | string);
  'kind'?: (_warmpool_v1_FileKind);
  'size'?: (number | string | Long);
  'mode'?: (number);
  'modifiedAt'?: (_google_protobuf_Timestamp | null);
  'uid'?: (number);
  'gid'?: (number);
  'user'?: (string);
  'group'?: (string);
  'target'?: (string);
  'targetBytes'?: (Buffer | Uint8Array | string);
}

export interface FileEntry__Output {
  'name': (string);
  'nameBytes': (Buffer);
  'kind': (_warmpool_v1_FileKind__Output);
  'size': (number);
  'mode': (number);
  'modifiedAt': (_google_protobuf_Timestamp__Output | null);
  'uid': (number);
  'gid': (number);
  'user': (string);
  'group': (string);
  'target': (string);
  'targetBytes': (Buffer);
}
