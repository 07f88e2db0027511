// Original file: proto/warmpool/v1/file_service.proto

import type * as grpc from '@grpc/grpc-js'
import type { MethodDefinition } from '@grpc/proto-loader'
import type { ChangeRequest as _warmpool_v1_ChangeRequest, ChangeRequest__Output as _warmpool_v1_ChangeRequest__Output } from '../../warmpool/v1/ChangeRequest.ts';
import type { ChangeResponse as _warmpool_v1_ChangeResponse, ChangeResponse__Output as _warmpool_v1_ChangeResponse__Output } from '../../warmpool/v1/ChangeResponse.ts';
import type { ListDirRequest as _warmpool_v1_ListDirRequest, ListDirRequest__Output as _warmpool_v1_ListDirRequest__Output } from '../../warmpool/v1/ListDirRequest.ts';
import type { ListDirResponse as _warmpool_v1_ListDirResponse, ListDirResponse__Output as _warmpool_v1_ListDirResponse__Output } from '../../warmpool/v1/ListDirResponse.ts';
import type { MakeDirRequest as _warmpool_v1_MakeDirRequest, MakeDirRequest__Output as _warmpool_v1_MakeDirRequest__Output } from '../../warmpool/v1/MakeDirRequest.ts';
import type { MakeDirResponse as _warmpool_v1_MakeDirResponse, MakeDirResponse__Output as _warmpool_v1_MakeDirResponse__Output } from '../../warmpool/v1/MakeDirResponse.ts';
import type { ReadFileRequest as _warmpool_v1_ReadFileRequest, ReadFileRequest__Output as _warmpool_v1_ReadFileRequest__Output } from '../../warmpool/v1/ReadFileRequest.ts';
import type { ReadFileResponse as _warmpool_v1_ReadFileResponse, ReadFileResponse__Output as _warmpool_v1_ReadFileResponse__Output } from '../../warmpool/v1/ReadFileResponse.ts';
import type { ReadTarRequest as _warmpool_v1_ReadTarRequest, ReadTarRequest__Output as _warmpool_v1_ReadTarRequest__Output } from '../../warmpool/v1/ReadTarRequest.ts';
import type { ReadTarResponse as _warmpool_v1_ReadTarResponse, ReadTarResponse__Output as _warmpool_v1_ReadTarResponse__Output } from '../../warmpool/v1/ReadTarResponse.ts';
import type { RemoveRequest as _warmpool_v1_RemoveRequest, RemoveRequest__Output as _warmpool_v1_RemoveRequest__Output } from '../../warmpool/v1/RemoveRequest.ts';
import type { RemoveResponse as _warmpool_v1_RemoveResponse, RemoveResponse__Output as _warmpool_v1_RemoveResponse__Output } from '../../warmpool/v1/RemoveResponse.ts';
import type { RenameRequest as _warmpool_v1_RenameRequest, RenameRequest__Output as _warmpool_v1_RenameRequest__Output } from '../../warmpool/v1/RenameRequest.ts';
import type { RenameResponse as _warmpool_v1_RenameResponse, RenameResponse__Output as _warmpool_v1_RenameResponse__Output } from '../../warmpool/v1/RenameResponse.ts';
import type { StatRequest as _warmpool_v1_StatRequest, StatRequest__Output as _warmpool_v1_StatRequest__Output } from '../../warmpool/v1/StatRequest.ts';
import type { StatResponse as _warmpool_v1_StatResponse, StatResponse__Output as _warmpool_v1_StatResponse__Output } from '../../warmpool/v1/StatResponse.ts';
import type { WatchDirRequest as _warmpool_v1_WatchDirRequest, WatchDirRequest__Output as _warmpool_v1_WatchDirRequest__Output } from '../../warmpool/v1/WatchDirRequest.ts';
import type { WatchDirResponse as _warmpool_v1_WatchDirResponse, WatchDirResponse__Output as _warmpool_v1_WatchDirResponse__Output } from '../../warmpool/v1/WatchDirResponse.ts';
import type { WriteFileRequest as _warmpool_v1_WriteFileRequest, WriteFileRequest__Output as _warmpool_v1_WriteFileRequest__Output } from '../../warmpool/v1/WriteFileRequest.ts';
import type { WriteFileResponse as _warmpool_v1_WriteFileResponse, WriteFileResponse__Output as _warmpool_v1_WriteFileResponse__Output } from '../../warmpool/v1/WriteFileResponse.ts';
import type { WriteTarRequest as _warmpool_v1_WriteTarRequest, WriteTarRequest__Output as _warmpool_v1_WriteTarRequest__Output } from '../../warmpool/v1/WriteTarRequest.ts';
import type { WriteTarResponse as _warmpool_v1_WriteTarResponse, WriteTarResponse__Output as _warmpool_v1_WriteTarResponse__Output } from '../../warmpool/v1/WriteTarResponse.ts';

export interface FileServiceClient extends grpc.Client {
  Change(argument: _warmpool_v1_ChangeRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_ChangeResponse__Output>): grpc.ClientUnaryCall;
  Change(argument: _warmpool_v1_ChangeRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_warmpool_v1_ChangeResponse__Output>): grpc.ClientUnaryCall;
  Change(argument: _warmpool_v1_ChangeRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_ChangeResponse__Output>): grpc.ClientUnaryCall;
  Change(argument: _warmpool_v1_ChangeRequest, callback: grpc.requestCallback<_warmpool_v1_ChangeResponse__Output>): grpc.ClientUnaryCall;
  change(argument: _warmpool_v1_ChangeRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_ChangeResponse__Output>): grpc.ClientUnaryCall;
  change(argument: _warmpool_v1_ChangeRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_warmpool_v1_ChangeResponse__Output>): grpc.ClientUnaryCall;
  change(argument: _warmpool_v1_ChangeRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_ChangeResponse__Output>): grpc.ClientUnaryCall;
  change(argument: _warmpool_v1_ChangeRequest, callback: grpc.requestCallback<_warmpool_v1_ChangeResponse__Output>): grpc.ClientUnaryCall;
  
  ListDir(argument: _warmpool_v1_ListDirRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_ListDirResponse__Output>): grpc.ClientUnaryCall;
  ListDir(argument: _warmpool_v1_ListDirRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_warmpool_v1_ListDirResponse__Output>): grpc.ClientUnaryCall;
  ListDir(argument: _warmpool_v1_ListDirRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_ListDirResponse__Output>): grpc.ClientUnaryCall;
  ListDir(argument: _warmpool_v1_ListDirRequest, callback: grpc.requestCallback<_warmpool_v1_ListDirResponse__Output>): grpc.ClientUnaryCall;
  listDir(argument: _warmpool_v1_ListDirRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_ListDirResponse__Output>): grpc.ClientUnaryCall;
  listDir(argument: _warmpool_v1_ListDirRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_warmpool_v1_ListDirResponse__Output>): grpc.ClientUnaryCall;
  listDir(argument: _warmpool_v1_ListDirRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_ListDirResponse__Output>): grpc.ClientUnaryCall;
  listDir(argument: _warmpool_v1_ListDirRequest, callback: grpc.requestCallback<_warmpool_v1_ListDirResponse__Output>): grpc.ClientUnaryCall;
  
  MakeDir(argument: _warmpool_v1_MakeDirRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_MakeDirResponse__Output>): grpc.ClientUnaryCall;
  MakeDir(argument: _warmpool_v1_MakeDirRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_warmpool_v1_MakeDirResponse__Output>): grpc.ClientUnaryCall;
  MakeDir(argument: _warmpool_v1_MakeDirRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_MakeDirResponse__Output>): grpc.ClientUnaryCall;
  MakeDir(argument: _warmpool_v1_MakeDirRequest, callback: grpc.requestCallback<_warmpool_v1_MakeDirResponse__Output>): grpc.ClientUnaryCall;
  makeDir(argument: _warmpool_v1_MakeDirRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_MakeDirResponse__Output>): grpc.ClientUnaryCall;
  makeDir(argument: _warmpool_v1_MakeDirRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_warmpool_v1_MakeDirResponse__Output>): grpc.ClientUnaryCall;
  makeDir(argument: _warmpool_v1_MakeDirRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_MakeDirResponse__Output>): grpc.ClientUnaryCall;
  makeDir(argument: _warmpool_v1_MakeDirRequest, callback: grpc.requestCallback<_warmpool_v1_MakeDirResponse__Output>): grpc.ClientUnaryCall;
  
  ReadFile(argument: _warmpool_v1_ReadFileRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_warmpool_v1_ReadFileResponse__Output>;
  ReadFile(argument: _warmpool_v1_ReadFileRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_warmpool_v1_ReadFileResponse__Output>;
  readFile(argument: _warmpool_v1_ReadFileRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_warmpool_v1_ReadFileResponse__Output>;
  readFile(argument: _warmpool_v1_ReadFileRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_warmpool_v1_ReadFileResponse__Output>;
  
  ReadTar(argument: _warmpool_v1_ReadTarRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_warmpool_v1_ReadTarResponse__Output>;
  ReadTar(argument: _warmpool_v1_ReadTarRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_warmpool_v1_ReadTarResponse__Output>;
  readTar(argument: _warmpool_v1_ReadTarRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_warmpool_v1_ReadTarResponse__Output>;
  readTar(argument: _warmpool_v1_ReadTarRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_warmpool_v1_ReadTarResponse__Output>;
  
  Remove(argument: _warmpool_v1_RemoveRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_RemoveResponse__Output>): grpc.ClientUnaryCall;
  Remove(argument: _warmpool_v1_RemoveRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_warmpool_v1_RemoveResponse__Output>): grpc.ClientUnaryCall;
  Remove(argument: _warmpool_v1_RemoveRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_RemoveResponse__Output>): grpc.ClientUnaryCall;
  Remove(argument: _warmpool_v1_RemoveRequest, callback: grpc.requestCallback<_warmpool_v1_RemoveResponse__Output>): grpc.ClientUnaryCall;
  remove(argument: _warmpool_v1_RemoveRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_RemoveResponse__Output>): grpc.ClientUnaryCall;
  remove(argument: _warmpool_v1_RemoveRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_warmpool_v1_RemoveResponse__Output>): grpc.ClientUnaryCall;
  remove(argument: _warmpool_v1_RemoveRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_RemoveResponse__Output>): grpc.ClientUnaryCall;
  remove(argument: _warmpool_v1_RemoveRequest, callback: grpc.requestCallback<_warmpool_v1_RemoveResponse__Output>): grpc.ClientUnaryCall;
  
  Rename(argument: _warmpool_v1_RenameRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_RenameResponse__Output>): grpc.ClientUnaryCall;
  Rename(argument: _warmpool_v1_RenameRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_warmpool_v1_RenameResponse__Output>): grpc.ClientUnaryCall;
  Rename(argument: _warmpool_v1_RenameRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_RenameResponse__Output>): grpc.ClientUnaryCall;
  Rename(argument: _warmpool_v1_RenameRequest, callback: grpc.requestCallback<_warmpool_v1_RenameResponse__Output>): grpc.ClientUnaryCall;
  rename(argument: _warmpool_v1_RenameRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_RenameResponse__Output>): grpc.ClientUnaryCall;
  rename(argument: _warmpool_v1_RenameRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_warmpool_v1_RenameResponse__Output>): grpc.ClientUnaryCall;
  rename(argument: _warmpool_v1_RenameRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_RenameResponse__Output>): grpc.ClientUnaryCall;
  rename(argument: _warmpool_v1_RenameRequest, callback: grpc.requestCallback<_warmpool_v1_RenameResponse__Output>): grpc.ClientUnaryCall;
  
  Stat(argument: _warmpool_v1_StatRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_StatResponse__Output>): grpc.ClientUnaryCall;
  Stat(argument: _warmpool_v1_StatRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_warmpool_v1_StatResponse__Output>): grpc.ClientUnaryCall;
  Stat(argument: _warmpool_v1_StatRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_StatResponse__Output>): grpc.ClientUnaryCall;
  Stat(argument: _warmpool_v1_StatRequest, callback: grpc.requestCallback<_warmpool_v1_StatResponse__Output>): grpc.ClientUnaryCall;
  stat(argument: _warmpool_v1_StatRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_StatResponse__Output>): grpc.ClientUnaryCall;
  stat(argument: _warmpool_v1_StatRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_warmpool_v1_StatResponse__Output>): grpc.ClientUnaryCall;
  stat(argument: _warmpool_v1_StatRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_StatResponse__Output>): grpc.ClientUnaryCall;
  stat(argument: _warmpool_v1_StatRequest, callback: grpc.requestCallback<_warmpool_v1_StatResponse__Output>): grpc.ClientUnaryCall;
  
  WatchDir(argument: _warmpool_v1_WatchDirRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_warmpool_v1_WatchDirResponse__Output>;
  WatchDir(argument: _warmpool_v1_WatchDirRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_warmpool_v1_WatchDirResponse__Output>;
  watchDir(argument: _warmpool_v1_WatchDirRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_warmpool_v1_WatchDirResponse__Output>;
  watchDir(argument: _warmpool_v1_WatchDirRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_warmpool_v1_WatchDirResponse__Output>;
  
  WriteFile(metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_WriteFileResponse__Output>): grpc.ClientWritableStream<_warmpool_v1_WriteFileRequest>;
  WriteFile(metadata: grpc.Metadata, callback: grpc.requestCallback<_warmpool_v1_WriteFileResponse__Output>): grpc.ClientWritableStream<_warmpool_v1_WriteFileRequest>;
  WriteFile(options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_WriteFileResponse__Output>): grpc.ClientWritableStream<_warmpool_v1_WriteFileRequest>;
  WriteFile(callback: grpc.requestCallback<_warmpool_v1_WriteFileResponse__Output>): grpc.ClientWritableStream<_warmpool_v1_WriteFileRequest>;
  writeFile(metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_WriteFileResponse__Output>): grpc.ClientWritableStream<_warmpool_v1_WriteFileRequest>;
  writeFile(metadata: grpc.Metadata, callback: grpc.requestCallback<_warmpool_v1_WriteFileResponse__Output>): grpc.ClientWritableStream<_warmpool_v1_WriteFileRequest>;
  writeFile(options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_WriteFileResponse__Output>): grpc.ClientWritableStream<_warmpool_v1_WriteFileRequest>;
  writeFile(callback: grpc.requestCallback<_warmpool_v1_WriteFileResponse__Output>): grpc.ClientWritableStream<_warmpool_v1_WriteFileRequest>;
  
  WriteTar(metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_WriteTarResponse__Output>): grpc.ClientWritableStream<_warmpool_v1_WriteTarRequest>;
  WriteTar(metadata: grpc.Metadata, callback: grpc.requestCallback<_warmpool_v1_WriteTarResponse__Output>): grpc.ClientWritableStream<_warmpool_v1_WriteTarRequest>;
  WriteTar(options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_WriteTarResponse__Output>): grpc.ClientWritableStream<_warmpool_v1_WriteTarRequest>;
  WriteTar(callback: grpc.requestCallback<_warmpool_v1_WriteTarResponse__Output>): grpc.ClientWritableStream<_warmpool_v1_WriteTarRequest>;
  writeTar(metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_WriteTarResponse__Output>): grpc.ClientWritableStream<_warmpool_v1_WriteTarRequest>;
  writeTar(metadata: grpc.Metadata, callback: grpc.requestCallback<_warmpool_v1_WriteTarResponse__Output>): grpc.ClientWritableStream<_warmpool_v1_WriteTarRequest>;
  writeTar(options: grpc.CallOptions, callback: grpc.requestCallback<_warmpool_v1_WriteTarResponse__Output>): grpc.ClientWritableStream<_warmpool_v1_WriteTarRequest>;
  writeTar(callback: grpc.requestCallback<_warmpool_v1_WriteTarResponse__Output>): grpc.ClientWritableStream<_warmpool_v1_WriteTarRequest>;
  
}

export interface FileServiceHandlers extends grpc.UntypedServiceImplementation {
  Change: grpc.handleUnaryCall<_warmpool_v1_ChangeRequest__Output, _warmpool_v1_ChangeResponse>;
  
  ListDir: grpc.handleUnaryCall<_warmpool_v1_ListDirRequest__Output, _warmpool_v1_ListDirResponse>;
  
  MakeDir: grpc.handleUnaryCall<_warmpool_v1_MakeDirRequest__Output, _warmpool_v1_MakeDirResponse>;
  
  ReadFile: grpc.handleServerStreamingCall<_warmpool_v1_ReadFileRequest__Output, _warmpool_v1_ReadFileResponse>;
  
  ReadTar: grpc.handleServerStreamingCall<_warmpool_v1_ReadTarRequest__Output, _warmpool_v1_ReadTarResponse>;
  
  Remove: grpc.handleUnaryCall<_warmpool_v1_RemoveRequest__Output, _warmpool_v1_RemoveResponse>;
  
  Rename: grpc.handleUnaryCall<_warmpool_v1_RenameRequest__Output, _warmpool_v1_RenameResponse>;
  
  Stat: grpc.handleUnaryCall<_warmpool_v1_StatRequest__Output, _warmpool_v1_StatResponse>;
  
  WatchDir: grpc.handleServerStreamingCall<_warmpool_v1_WatchDirRequest__Output, _warmpool_v1_WatchDirResponse>;
  
  WriteFile: grpc.handleClientStreamingCall<_warmpool_v1_WriteFileRequest__Output, _warmpool_v1_WriteFileResponse>;
  
  WriteTar: grpc.handleClientStreamingCall<_warmpool_v1_WriteTarRequest__Output, _warmpool_v1_WriteTarResponse>;
  
}

export interface FileServiceDefinition extends grpc.ServiceDefinition {
  Change: MethodDefinition<_warmpool_v1_ChangeRequest, _warmpool_v1_ChangeResponse, _warmpool_v1_ChangeRequest__Output, _warmpool_v1_ChangeResponse__Output>
  ListDir: MethodDefinition<_warmpool_v1_ListDirRequest, _warmpool_v1_ListDirResponse, _warmpool_v1_ListDirRequest__Output, _warmpool_v1_ListDirResponse__Output>
  MakeDir: MethodDefinition<_warmpool_v1_MakeDirRequest, _warmpool_v1_MakeDirResponse, _warmpool_v1_MakeDirRequest__Output, _warmpool_v1_MakeDirResponse__Output>
  ReadFile: MethodDefinition<_warmpool_v1_ReadFileRequest, _warmpool_v1_ReadFileResponse, _warmpool_v1_ReadFileRequest__Output, _warmpool_v1_ReadFileResponse__Output>
  ReadTar: MethodDefinition<_warmpool_v1_ReadTarRequest, _warmpool_v1_ReadTarResponse, _warmpool_v1_ReadTarRequest__Output, _warmpool_v1_ReadTarResponse__Output>
  Remove: MethodDefinition<_warmpool_v1_RemoveRequest, _warmpool_v1_RemoveResponse, _warmpool_v1_RemoveRequest__Output, _warmpool_v1_RemoveResponse__Output>
  Rename: MethodDefinition<_warmpool_v1_RenameRequest, _warmpool_v1_RenameResponse, _warmpool_v1_RenameRequest__Output, _warmpool_v1_RenameResponse__Output>
  Stat: MethodDefinition<_warmpool_v1_StatRequest, _warmpool_v1_StatResponse, _warmpool_v1_StatRequest__Output, _warmpool_v1_StatResponse__Output>
  WatchDir: MethodDefinition<_warmpool_v1_WatchDirRequest, _warmpool_v1_WatchDirResponse, _warmpool_v1_WatchDirRequest__Output, _warmpool_v1_WatchDirResponse__Output>
  WriteFile: MethodDefinition<_warmpool_v1_WriteFileRequest, _warmpool_v1_WriteFileResponse, _warmpool_v1_WriteFileRequest__Output, _warmpool_v1_WriteFileResponse__Output>
  WriteTar: MethodDefinition<_warmpool_v1_WriteTarRequest, _warmpool_v1_WriteTarResponse, _warmpool_v1_WriteTarRequest__Output, _warmpool_v1_WriteTarResponse__Output>
}
