// Original file: proto/warmpool/v1/sandbox.proto

export const Launch = {
  LAUNCH_UNSPECIFIED: 'LAUNCH_UNSPECIFIED',
  LAUNCH_WARM: 'LAUNCH_WARM',
  LAUNCH_COLD: 'LAUNCH_COLD',
} as const;

export type Launch =
  | 'LAUNCH_UNSPECIFIED'
  | 0
  | 'LAUNCH_WARM'
  | 1
  | 'LAUNCH_COLD'
  | 2

export type Launch__Output = typeof Launch[keyof typeof Launch]
