// Original file: proto/warmpool/v1/exec_service.proto


export interface ExecStarted {
  'pid'?: (number);
}

export interface ExecStarted__Output {
  'pid': (number);
}
