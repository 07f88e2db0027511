// Original file: proto/warmpool/v1/sandbox_service.proto


export interface WatchSandboxesRequest {
  'id'?: (string);
  'afterEventId'?: (string);
}

export interface WatchSandboxesRequest__Output {
  'id': (string);
  'afterEventId': (string);
}
