// Original file: proto/warmpool/v1/sandbox_service.proto


export interface DeleteSandboxRequest {
  'id'?: (string);
}

export interface DeleteSandboxRequest__Output {
  'id': (string);
}
