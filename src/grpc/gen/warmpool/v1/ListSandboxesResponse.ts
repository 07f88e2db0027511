// Original file: proto/warmpool/v1/sandbox_service.proto

import type { Sandbox as _warmpool_v1_Sandbox, Sandbox__Output as _warmpool_v1_Sandbox__Output } from '../../warmpool/v1/Sandbox.ts';

export interface ListSandboxesResponse {
  'sandboxes'?: (_warmpool_v1_Sandbox)[];
  'nextPageToken'?: (string);
}

export interface ListSandboxesResponse__Output {
  'sandboxes': (_warmpool_v1_Sandbox__Output)[];
  'nextPageToken': (string);
}
