// Original file: proto/warmpool/v1/file_service.proto


export interface ReadTarRequest {
  'sandboxId'?: (string);
  'path'?: (string);
  'pathBytes'?: (Buffer | Uint8Array | string);
  'user'?: (string);
  'cwd'?: (string);
}

export interface ReadTarRequest__Output {
  'sandboxId': (string);
  'path': (string);
  'pathBytes': (Buffer);
  'user': (string);
  'cwd': (string);
}
