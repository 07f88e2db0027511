// Original file: proto/warmpool/v1/file_service.proto


export interface StatRequest {
  'sandboxId'?: (string);
  'path'?: (string);
  'pathBytes'?: (Buffer | Uint8Array | string);
  'user'?: (string);
  'cwd'?: (string);
  'noFollow'?: (boolean);
}

export interface StatRequest__Output {
  'sandboxId': (string);
  'path': (string);
  'pathBytes': (Buffer);
  'user': (string);
  'cwd': (string);
  'noFollow': (boolean);
}
