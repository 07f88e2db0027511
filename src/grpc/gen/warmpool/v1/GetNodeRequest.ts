// Original file: proto/warmpool/v1/node_service.proto


export interface GetNodeRequest {
  'id'?: (string);
}

export interface GetNodeRequest__Output {
  'id': (string);
}
