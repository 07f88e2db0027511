// Original file: proto/warmpool/v1/file_service.proto


export interface UploadEnd {
}

export interface UploadEnd__Output {
}
