// Original file: proto/warmpool/v1/pool_service.proto

import type { Duration as _google_protobuf_Duration, Duration__Output as _google_protobuf_Duration__Output } from '../../google/protobuf/Duration.ts';
import type { TargetReason as _warmpool_v1_TargetReason, TargetReason__Output as _warmpool_v1_TargetReason__Output } from '../../warmpool/v1/TargetReason.ts';
import type { TargetLimit as _warmpool_v1_TargetLimit, TargetLimit__Output as _warmpool_v1_TargetLimit__Output } from '../../warmpool/v1/TargetLimit.ts';

export interface PoolSizing {
  'claimsPerSecond'?: (number | string);
  'bootTime'?: (_google_protobuf_Duration | null);
  'offeredLoad'?: (number | string);
  'wanted'?: (number);
  'expectedHitRatio'?: (number | string);
  'reason'?: (_warmpool_v1_TargetReason);
  'limit'?: (_warmpool_v1_TargetLimit);
  '_expectedHitRatio'?: "expectedHitRatio";
}

export interface PoolSizing__Output {
  'claimsPerSecond': (number);
  'bootTime': (_google_protobuf_Duration__Output | null);
  'offeredLoad': (number);
  'wanted': (number);
  'expectedHitRatio'?: (number);
  'reason': (_warmpool_v1_TargetReason__Output);
  'limit': (_warmpool_v1_TargetLimit__Output);
  '_expectedHitRatio'?: "expectedHitRatio";
}
