// Original file: proto/warmpool/v1/pool_service.proto

export const TargetLimit = {
  TARGET_LIMIT_UNSPECIFIED: 'TARGET_LIMIT_UNSPECIFIED',
  TARGET_LIMIT_NONE: 'TARGET_LIMIT_NONE',
  TARGET_LIMIT_MAX_READY: 'TARGET_LIMIT_MAX_READY',
  TARGET_LIMIT_MAX_TOTAL: 'TARGET_LIMIT_MAX_TOTAL',
  TARGET_LIMIT_STARTS_IN_FLIGHT: 'TARGET_LIMIT_STARTS_IN_FLIGHT',
} as const;

export type TargetLimit =
  | 'TARGET_LIMIT_UNSPECIFIED'
  | 0
  | 'TARGET_LIMIT_NONE'
  | 1
  | 'TARGET_LIMIT_MAX_READY'
  | 2
  | 'TARGET_LIMIT_MAX_TOTAL'
  | 3
  | 'TARGET_LIMIT_STARTS_IN_FLIGHT'
  | 4

export type TargetLimit__Output = typeof TargetLimit[keyof typeof TargetLimit]
