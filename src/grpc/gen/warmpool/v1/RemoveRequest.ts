// Original file: proto/warmpool/v1/file_service.proto


export interface RemoveRequest {
  'sandboxId'?: (string);
  'path'?: (string);
  'pathBytes'?: (Buffer | Uint8Array | string);
  'user'?: (string);
  'cwd'?: (string);
  'recursive'?: (boolean);
}

export interface RemoveRequest__Output {
  'sandboxId': (string);
  'path': (string);
  'pathBytes': (Buffer);
  'user': (string);
  'cwd': (string);
  'recursive': (boolean);
}
