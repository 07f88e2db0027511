// Original file: proto/warmpool/v1/node_service.proto


export interface CordonNodeRequest {
  'id'?: (string);
}

export interface CordonNodeRequest__Output {
  'id': (string);
}
