// Original file: proto/warmpool/v1/pool_service.proto


export interface GetPoolRequest {
  'name'?: (string);
}

export interface GetPoolRequest__Output {
  'name': (string);
}
