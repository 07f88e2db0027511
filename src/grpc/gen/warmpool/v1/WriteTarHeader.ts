// Original file: proto/warmpool/v1/file_service.proto


export interface WriteTarHeader {
  'sandboxId'?: (string);
  'path'?: (string);
  'pathBytes'?: (Buffer | Uint8Array | string);
  'user'?: (string);
  'cwd'?: (string);
  'parents'?: (boolean);
}

export interface WriteTarHeader__Output {
  'sandboxId': (string);
  'path': (string);
  'pathBytes': (Buffer);
  'user': (string);
  'cwd': (string);
  'parents': (boolean);
}
