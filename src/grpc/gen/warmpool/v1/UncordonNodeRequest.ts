// Original file: proto/warmpool/v1/node_service.proto


export interface UncordonNodeRequest {
  'id'?: (string);
}

export interface UncordonNodeRequest__Output {
  'id': (string);
}
