// Original file: proto/warmpool/v1/file_service.proto


export interface RenameRequest {
  'sandboxId'?: (string);
  'path'?: (string);
  'pathBytes'?: (Buffer | Uint8Array | string);
  'user'?: (string);
  'cwd'?: (string);
  'to'?: (string);
  'toBytes'?: (Buffer | Uint8Array | string);
  'noReplace'?: (boolean);
}

export interface RenameRequest__Output {
  'sandboxId': (string);
  'path': (string);
  'pathBytes': (Buffer);
  'user': (string);
  'cwd': (string);
  'to': (string);
  'toBytes': (Buffer);
  'noReplace': (boolean);
}
