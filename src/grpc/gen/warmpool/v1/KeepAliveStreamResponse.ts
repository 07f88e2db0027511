// Original file: proto/warmpool/v1/sandbox_service.proto

import type { LeaseRenewal as _warmpool_v1_LeaseRenewal, LeaseRenewal__Output as _warmpool_v1_LeaseRenewal__Output } from '../../warmpool/v1/LeaseRenewal.ts';
import type { Error as _warmpool_v1_Error, Error__Output as _warmpool_v1_Error__Output } from '../../warmpool/v1/Error.ts';

export interface KeepAliveStreamResponse {
  'id'?: (string);
  'renewed'?: (_warmpool_v1_LeaseRenewal | null);
  'error'?: (_warmpool_v1_Error | null);
  'outcome'?: "renewed"|"error";
}

export interface KeepAliveStreamResponse__Output {
  'id': (string);
  'renewed'?: (_warmpool_v1_LeaseRenewal__Output | null);
  'error'?: (_warmpool_v1_Error__Output | null);
  'outcome'?: "renewed"|"error";
}
