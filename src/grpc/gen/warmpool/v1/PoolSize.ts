// Original file: proto/warmpool/v1/pool_service.proto

import type { Duration as _google_protobuf_Duration, Duration__Output as _google_protobuf_Duration__Output } from '../../google/protobuf/Duration.ts';
import type { OnMiss as _warmpool_v1_OnMiss, OnMiss__Output as _warmpool_v1_OnMiss__Output } from '../../warmpool/v1/OnMiss.ts';

export interface PoolSize {
  'minReady'?: (number);
  'maxReady'?: (number);
  'maxTotal'?: (number);
  'startsInFlightMax'?: (number);
  'maxIdleAge'?: (_google_protobuf_Duration | null);
  'onMiss'?: (_warmpool_v1_OnMiss);
  'targetHitRatio'?: (number | string);
  'burst'?: (number);
  'scaleToZeroAfter'?: (_google_protobuf_Duration | null);
}

export interface PoolSize__Output {
  'minReady': (number);
  'maxReady': (number);
  'maxTotal': (number);
  'startsInFlightMax': (number);
  'maxIdleAge': (_google_protobuf_Duration__Output | null);
  'onMiss': (_warmpool_v1_OnMiss__Output);
  'targetHitRatio': (number);
  'burst': (number);
  'scaleToZeroAfter': (_google_protobuf_Duration__Output | null);
}
