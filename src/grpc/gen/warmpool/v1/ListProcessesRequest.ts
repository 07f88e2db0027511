// Original file: proto/warmpool/v1/exec_service.proto


export interface ListProcessesRequest {
  'sandboxId'?: (string);
}

export interface ListProcessesRequest__Output {
  'sandboxId': (string);
}
