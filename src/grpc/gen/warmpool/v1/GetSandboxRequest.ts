// Original file: proto/warmpool/v1/sandbox_service.proto


export interface GetSandboxRequest {
  'id'?: (string);
}

export interface GetSandboxRequest__Output {
  'id': (string);
}
