// Original file: proto/warmpool/v1/exec_service.proto


export interface TerminalSize {
  'cols'?: (number);
  'rows'?: (number);
}

export interface TerminalSize__Output {
  'cols': (number);
  'rows': (number);
}
