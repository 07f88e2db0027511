// Original file: proto/warmpool/v1/file_service.proto


export interface MakeDirRequest {
  'sandboxId'?: (string);
  'path'?: (string);
  'pathBytes'?: (Buffer | Uint8Array | string);
  'user'?: (string);
  'cwd'?: (string);
  'mode'?: (number);
  'parents'?: (boolean);
  '_mode'?: "mode";
}

export interface MakeDirRequest__Output {
  'sandboxId': (string);
  'path': (string);
  'pathBytes': (Buffer);
  'user': (string);
  'cwd': (string);
  'mode'?: (number);
  'parents': (boolean);
  '_mode'?: "mode";
}
