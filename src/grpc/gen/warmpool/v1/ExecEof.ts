// Original file: proto/warmpool/v1/exec_service.proto


export interface ExecEof {
}

export interface ExecEof__Output {
}
