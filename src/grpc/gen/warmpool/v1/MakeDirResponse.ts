// Original file: proto/warmpool/v1/file_service.proto


export interface MakeDirResponse {
  'created'?: (boolean);
}

export interface MakeDirResponse__Output {
  'created': (boolean);
}
