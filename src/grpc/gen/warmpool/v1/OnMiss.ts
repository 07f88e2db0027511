// Original file: proto/warmpool/v1/sandbox.proto

export const OnMiss = {
  ON_MISS_UNSPECIFIED: 'ON_MISS_UNSPECIFIED',
  ON_MISS_COLD: 'ON_MISS_COLD',
  ON_MISS_WAIT: 'ON_MISS_WAIT',
  ON_MISS_FAIL: 'ON_MISS_FAIL',
} as const;

export type OnMiss =
  | 'ON_MISS_UNSPECIFIED'
  | 0
  | 'ON_MISS_COLD'
  | 1
  | 'ON_MISS_WAIT'
  | 2
  | 'ON_MISS_FAIL'
  | 3

export type OnMiss__Output = typeof OnMiss[keyof typeof OnMiss]
