// Original file: proto/warmpool/v1/pool_service.proto

import type { Long } from '@grpc/proto-loader';

export interface PoolCounters {
  'hits'?: (number | string | Long);
  'missesEmpty'?: (number | string | Long);
  'missesUncacheable'?: (number | string | Long);
  'startsWarm'?: (number | string | Long);
  'startsCold'?: (number | string | Long);
  'startsFailed'?: (number | string | Long);
  'boots'?: (number | string | Long);
  'bootMs'?: (number | string | Long);
  'missesOverLimit'?: (number | string | Long);
}

export interface PoolCounters__Output {
  'hits': (number);
  'missesEmpty': (number);
  'missesUncacheable': (number);
  'startsWarm': (number);
  'startsCold': (number);
  'startsFailed': (number);
  'boots': (number);
  'bootMs': (number);
  'missesOverLimit': (number);
}
