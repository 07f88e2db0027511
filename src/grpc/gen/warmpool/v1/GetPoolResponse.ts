// Original file: proto/warmpool/v1/pool_service.proto

import type { Pool as _warmpool_v1_Pool, Pool__Output as _warmpool_v1_Pool__Output } from '../../warmpool/v1/Pool.ts';

export interface GetPoolResponse {
  'pool'?: (_warmpool_v1_Pool | null);
}

export interface GetPoolResponse__Output {
  'pool': (_warmpool_v1_Pool__Output | null);
}
