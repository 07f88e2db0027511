// Original file: proto/warmpool/v1/file_service.proto


export interface ListDirRequest {
  'sandboxId'?: (string);
  'path'?: (string);
  'pathBytes'?: (Buffer | Uint8Array | string);
  'user'?: (string);
  'cwd'?: (string);
  'pageSize'?: (number);
  'pageToken'?: (string);
}

export interface ListDirRequest__Output {
  'sandboxId': (string);
  'path': (string);
  'pathBytes': (Buffer);
  'user': (string);
  'cwd': (string);
  'pageSize': (number);
  'pageToken': (string);
}
