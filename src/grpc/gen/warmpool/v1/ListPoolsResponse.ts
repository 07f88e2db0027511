// Original file: proto/warmpool/v1/pool_service.proto

import type { Pool as _warmpool_v1_Pool, Pool__Output as _warmpool_v1_Pool__Output } from '../../warmpool/v1/Pool.ts';

export interface ListPoolsResponse {
  'pools'?: (_warmpool_v1_Pool)[];
}

export interface ListPoolsResponse__Output {
  'pools': (_warmpool_v1_Pool__Output)[];
}
