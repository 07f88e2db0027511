// Original file: proto/warmpool/v1/sandbox_service.proto


export interface DeleteSandboxResponse {
}

export interface DeleteSandboxResponse__Output {
}
