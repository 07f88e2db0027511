// Original file: proto/warmpool/v1/sandbox_service.proto

import type { SandboxState as _warmpool_v1_SandboxState, SandboxState__Output as _warmpool_v1_SandboxState__Output } from '../../warmpool/v1/SandboxState.ts';

export interface ListSandboxesRequest {
  'template'?: (string);
  'states'?: (_warmpool_v1_SandboxState)[];
  'metadata'?: ({[key: string]: string});
  'pageSize'?: (number);
  'pageToken'?: (string);
}

export interface ListSandboxesRequest__Output {
  'template': (string);
  'states': (_warmpool_v1_SandboxState__Output)[];
  'metadata': ({[key: string]: string});
  'pageSize': (number);
  'pageToken': (string);
}
