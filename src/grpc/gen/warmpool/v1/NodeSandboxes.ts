// Original file: proto/warmpool/v1/node_service.proto


export interface NodeSandboxes {
  'starting'?: (number);
  'ready'?: (number);
  'running'?: (number);
  'stopping'?: (number);
}

export interface NodeSandboxes__Output {
  'starting': (number);
  'ready': (number);
  'running': (number);
  'stopping': (number);
}
