// Original file: proto/warmpool/v1/node_service.proto


export interface ListNodesRequest {
}

export interface ListNodesRequest__Output {
}
