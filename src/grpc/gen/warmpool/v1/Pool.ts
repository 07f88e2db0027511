// Original file: proto/warmpool/v1/pool_service.proto

import type { PoolSize as _warmpool_v1_PoolSize, PoolSize__Output as _warmpool_v1_PoolSize__Output } from '../../warmpool/v1/PoolSize.ts';
import type { PoolCounters as _warmpool_v1_PoolCounters, PoolCounters__Output as _warmpool_v1_PoolCounters__Output } from '../../warmpool/v1/PoolCounters.ts';
import type { PoolSizing as _warmpool_v1_PoolSizing, PoolSizing__Output as _warmpool_v1_PoolSizing__Output } from '../../warmpool/v1/PoolSizing.ts';

export interface Pool {
  'name'?: (string);
  'runtime'?: (string);
  'specVersion'?: (string);
  'size'?: (_warmpool_v1_PoolSize | null);
  'target'?: (number);
  'ready'?: (number);
  'starting'?: (number);
  'live'?: (number);
  'counters'?: (_warmpool_v1_PoolCounters | null);
  'note'?: (string);
  'sizing'?: (_warmpool_v1_PoolSizing | null);
  'waiting'?: (number);
}

export interface Pool__Output {
  'name': (string);
  'runtime': (string);
  'specVersion': (string);
  'size': (_warmpool_v1_PoolSize__Output | null);
  'target': (number);
  'ready': (number);
  'starting': (number);
  'live': (number);
  'counters': (_warmpool_v1_PoolCounters__Output | null);
  'note': (string);
  'sizing': (_warmpool_v1_PoolSizing__Output | null);
  'waiting': (number);
}
