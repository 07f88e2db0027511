import type * as grpc from '@grpc/grpc-js';
import type { EnumTypeDefinition, MessageTypeDefinition } from '@grpc/proto-loader';

import type { Timestamp as _google_protobuf_Timestamp, Timestamp__Output as _google_protobuf_Timestamp__Output } from './google/protobuf/Timestamp.ts';
import type { ChangeRequest as _warmpool_v1_ChangeRequest, ChangeRequest__Output as _warmpool_v1_ChangeRequest__Output } from './warmpool/v1/ChangeRequest.ts';
import type { ChangeResponse as _warmpool_v1_ChangeResponse, ChangeResponse__Output as _warmpool_v1_ChangeResponse__Output } from './warmpool/v1/ChangeResponse.ts';
import type { FileEntry as _warmpool_v1_FileEntry, FileEntry__Output as _warmpool_v1_FileEntry__Output } from './warmpool/v1/FileEntry.ts';
import type { FileServiceClient as _warmpool_v1_FileServiceClient, FileServiceDefinition as _warmpool_v1_FileServiceDefinition } from './warmpool/v1/FileService.ts';
import type { ListDirRequest as _warmpool_v1_ListDirRequest, ListDirRequest__Output as _warmpool_v1_ListDirRequest__Output } from './warmpool/v1/ListDirRequest.ts';
import type { ListDirResponse as _warmpool_v1_ListDirResponse, ListDirResponse__Output as _warmpool_v1_ListDirResponse__Output } from './warmpool/v1/ListDirResponse.ts';
import type { MakeDirRequest as _warmpool_v1_MakeDirRequest, MakeDirRequest__Output as _warmpool_v1_MakeDirRequest__Output } from './warmpool/v1/MakeDirRequest.ts';
import type { MakeDirResponse as _warmpool_v1_MakeDirResponse, MakeDirResponse__Output as _warmpool_v1_MakeDirResponse__Output } from './warmpool/v1/MakeDirResponse.ts';
import type { ReadFileEnd as _warmpool_v1_ReadFileEnd, ReadFileEnd__Output as _warmpool_v1_ReadFileEnd__Output } from './warmpool/v1/ReadFileEnd.ts';
import type { ReadFileRequest as _warmpool_v1_ReadFileRequest, ReadFileRequest__Output as _warmpool_v1_ReadFileRequest__Output } from './warmpool/v1/ReadFileRequest.ts';
import type { ReadFileResponse as _warmpool_v1_ReadFileResponse, ReadFileResponse__Output as _warmpool_v1_ReadFileResponse__Output } from './warmpool/v1/ReadFileResponse.ts';
import type { ReadTarEnd as _warmpool_v1_ReadTarEnd, ReadTarEnd__Output as _warmpool_v1_ReadTarEnd__Output } from './warmpool/v1/ReadTarEnd.ts';
import type { ReadTarRequest as _warmpool_v1_ReadTarRequest, ReadTarRequest__Output as _warmpool_v1_ReadTarRequest__Output } from './warmpool/v1/ReadTarRequest.ts';
import type { ReadTarResponse as _warmpool_v1_ReadTarResponse, ReadTarResponse__Output as _warmpool_v1_ReadTarResponse__Output } from './warmpool/v1/ReadTarResponse.ts';
import type { RemoveRequest as _warmpool_v1_RemoveRequest, RemoveRequest__Output as _warmpool_v1_RemoveRequest__Output } from './warmpool/v1/RemoveRequest.ts';
import type { RemoveResponse as _warmpool_v1_RemoveResponse, RemoveResponse__Output as _warmpool_v1_RemoveResponse__Output } from './warmpool/v1/RemoveResponse.ts';
import type { RenameRequest as _warmpool_v1_RenameRequest, RenameRequest__Output as _warmpool_v1_RenameRequest__Output } from './warmpool/v1/RenameRequest.ts';
import type { RenameResponse as _warmpool_v1_RenameResponse, RenameResponse__Output as _warmpool_v1_RenameResponse__Output } from './warmpool/v1/RenameResponse.ts';
import type { StatRequest as _warmpool_v1_StatRequest, StatRequest__Output as _warmpool_v1_StatRequest__Output } from './warmpool/v1/StatRequest.ts';
import type { StatResponse as _warmpool_v1_StatResponse, StatResponse__Output as _warmpool_v1_StatResponse__Output } from './warmpool/v1/StatResponse.ts';
import type { UploadEnd as _warmpool_v1_UploadEnd, UploadEnd__Output as _warmpool_v1_UploadEnd__Output } from './warmpool/v1/UploadEnd.ts';
import type { WatchDirRequest as _warmpool_v1_WatchDirRequest, WatchDirRequest__Output as _warmpool_v1_WatchDirRequest__Output } from './warmpool/v1/WatchDirRequest.ts';
import type { WatchDirResponse as _warmpool_v1_WatchDirResponse, WatchDirResponse__Output as _warmpool_v1_WatchDirResponse__Output } from './warmpool/v1/WatchDirResponse.ts';
import type { WriteFileHeader as _warmpool_v1_WriteFileHeader, WriteFileHeader__Output as _warmpool_v1_WriteFileHeader__Output } from './warmpool/v1/WriteFileHeader.ts';
import type { WriteFileRequest as _warmpool_v1_WriteFileRequest, WriteFileRequest__Output as _warmpool_v1_WriteFileRequest__Output } from './warmpool/v1/WriteFileRequest.ts';
import type { WriteFileResponse as _warmpool_v1_WriteFileResponse, WriteFileResponse__Output as _warmpool_v1_WriteFileResponse__Output } from './warmpool/v1/WriteFileResponse.ts';
import type { WriteTarHeader as _warmpool_v1_WriteTarHeader, WriteTarHeader__Output as _warmpool_v1_WriteTarHeader__Output } from './warmpool/v1/WriteTarHeader.ts';
import type { WriteTarRequest as _warmpool_v1_WriteTarRequest, WriteTarRequest__Output as _warmpool_v1_WriteTarRequest__Output } from './warmpool/v1/WriteTarRequest.ts';
import type { WriteTarResponse as _warmpool_v1_WriteTarResponse, WriteTarResponse__Output as _warmpool_v1_WriteTarResponse__Output } from './warmpool/v1/WriteTarResponse.ts';

type SubtypeConstructor<Constructor extends new (...args: any) => any, Subtype> = {
  new(...args: ConstructorParameters<Constructor>): Subtype;
};

export interface ProtoGrpcType {
  google: {
    protobuf: {
      Timestamp: MessageTypeDefinition<_google_protobuf_Timestamp, _google_protobuf_Timestamp__Output>
    }
  }
  warmpool: {
    v1: {
      ChangeRequest: MessageTypeDefinition<_warmpool_v1_ChangeRequest, _warmpool_v1_ChangeRequest__Output>
      ChangeResponse: MessageTypeDefinition<_warmpool_v1_ChangeResponse, _warmpool_v1_ChangeResponse__Output>
      FileEntry: MessageTypeDefinition<_warmpool_v1_FileEntry, _warmpool_v1_FileEntry__Output>
      FileEventType: EnumTypeDefinition
      FileKind: EnumTypeDefinition
      FileService: SubtypeConstructor<typeof grpc.Client, _warmpool_v1_FileServiceClient> & { service: _warmpool_v1_FileServiceDefinition }
      ListDirRequest: MessageTypeDefinition<_warmpool_v1_ListDirRequest, _warmpool_v1_ListDirRequest__Output>
      ListDirResponse: MessageTypeDefinition<_warmpool_v1_ListDirResponse, _warmpool_v1_ListDirResponse__Output>
      MakeDirRequest: MessageTypeDefinition<_warmpool_v1_MakeDirRequest, _warmpool_v1_MakeDirRequest__Output>
      MakeDirResponse: MessageTypeDefinition<_warmpool_v1_MakeDirResponse, _warmpool_v1_MakeDirResponse__Output>
      ReadFileEnd: MessageTypeDefinition<_warmpool_v1_ReadFileEnd, _warmpool_v1_ReadFileEnd__Output>
      ReadFileRequest: MessageTypeDefinition<_warmpool_v1_ReadFileRequest, _warmpool_v1_ReadFileRequest__Output>
      ReadFileResponse: MessageTypeDefinition<_warmpool_v1_ReadFileResponse, _warmpool_v1_ReadFileResponse__Output>
      ReadTarEnd: MessageTypeDefinition<_warmpool_v1_ReadTarEnd, _warmpool_v1_ReadTarEnd__Output>
      ReadTarRequest: MessageTypeDefinition<_warmpool_v1_ReadTarRequest, _warmpool_v1_ReadTarRequest__Output>
      ReadTarResponse: MessageTypeDefinition<_warmpool_v1_ReadTarResponse, _warmpool_v1_ReadTarResponse__Output>
      RemoveRequest: MessageTypeDefinition<_warmpool_v1_RemoveRequest, _warmpool_v1_RemoveRequest__Output>
      RemoveResponse: MessageTypeDefinition<_warmpool_v1_RemoveResponse, _warmpool_v1_RemoveResponse__Output>
      RenameRequest: MessageTypeDefinition<_warmpool_v1_RenameRequest, _warmpool_v1_RenameRequest__Output>
      RenameResponse: MessageTypeDefinition<_warmpool_v1_RenameResponse, _warmpool_v1_RenameResponse__Output>
      StatRequest: MessageTypeDefinition<_warmpool_v1_StatRequest, _warmpool_v1_StatRequest__Output>
      StatResponse: MessageTypeDefinition<_warmpool_v1_StatResponse, _warmpool_v1_StatResponse__Output>
      UploadEnd: MessageTypeDefinition<_warmpool_v1_UploadEnd, _warmpool_v1_UploadEnd__Output>
      WatchDirRequest: MessageTypeDefinition<_warmpool_v1_WatchDirRequest, _warmpool_v1_WatchDirRequest__Output>
      WatchDirResponse: MessageTypeDefinition<_warmpool_v1_WatchDirResponse, _warmpool_v1_WatchDirResponse__Output>
      WriteFileHeader: MessageTypeDefinition<_warmpool_v1_WriteFileHeader, _warmpool_v1_WriteFileHeader__Output>
      WriteFileRequest: MessageTypeDefinition<_warmpool_v1_WriteFileRequest, _warmpool_v1_WriteFileRequest__Output>
      WriteFileResponse: MessageTypeDefinition<_warmpool_v1_WriteFileResponse, _warmpool_v1_WriteFileResponse__Output>
      WriteTarHeader: MessageTypeDefinition<_warmpool_v1_WriteTarHeader, _warmpool_v1_WriteTarHeader__Output>
      WriteTarRequest: MessageTypeDefinition<_warmpool_v1_WriteTarRequest, _warmpool_v1_WriteTarRequest__Output>
      WriteTarResponse: MessageTypeDefinition<_warmpool_v1_WriteTarResponse, _warmpool_v1_WriteTarResponse__Output>
    }
  }
}

