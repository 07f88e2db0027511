// Original file: proto/warmpool/v1/file_service.proto


export interface RenameResponse {
}

export interface RenameResponse__Output {
}
