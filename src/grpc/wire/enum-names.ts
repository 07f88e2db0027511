import type { NodeState } from '../../domain/node-state.ts';
import type { OnMiss } from '../../domain/pool-spec.ts';
import type { EndReason, Launch, SandboxState } from '../../domain/sandbox.ts';
import type { TargetLimit, TargetReason } from '../../domain/sizing.ts';
import type { EndReason as WireEndReason } from '../gen/warmpool/v1/EndReason.ts';
import type { Launch as WireLaunch } from '../gen/warmpool/v1/Launch.ts';
import type { NodeState as WireNodeState } from '../gen/warmpool/v1/NodeState.ts';
import type { OnMiss as WireOnMiss } from '../gen/warmpool/v1/OnMiss.ts';
import type { SandboxState as WireState } from '../gen/warmpool/v1/SandboxState.ts';
import type { TargetLimit as WireTargetLimit } from '../gen/warmpool/v1/TargetLimit.ts';
import type { TargetReason as WireTargetReason } from '../gen/warmpool/v1/TargetReason.ts';

/** The domain's words on the wire. Total: a new word does not compile until the contract has it. */
export const wireState: Readonly<Record<SandboxState, Exclude<WireState, number>>> = {
  starting: 'SANDBOX_STATE_STARTING',
  ready: 'SANDBOX_STATE_READY',
  running: 'SANDBOX_STATE_RUNNING',
  pausing: 'SANDBOX_STATE_PAUSING',
  paused: 'SANDBOX_STATE_PAUSED',
  resuming: 'SANDBOX_STATE_RESUMING',
  hibernating: 'SANDBOX_STATE_HIBERNATING',
  hibernated: 'SANDBOX_STATE_HIBERNATED',
  waking: 'SANDBOX_STATE_WAKING',
  stopping: 'SANDBOX_STATE_STOPPING',
  stopped: 'SANDBOX_STATE_STOPPED',
  failed: 'SANDBOX_STATE_FAILED',
};

export const wireLaunch: Readonly<Record<Launch, Exclude<WireLaunch, number>>> = {
  warm: 'LAUNCH_WARM',
  cold: 'LAUNCH_COLD',
};

export const wireEndReason: Readonly<Record<EndReason, Exclude<WireEndReason, number>>> = {
  deleted: 'END_REASON_DELETED',
  lease_expired: 'END_REASON_LEASE_EXPIRED',
  lifetime_exceeded: 'END_REASON_LIFETIME_EXCEEDED',
  boot_failed: 'END_REASON_BOOT_FAILED',
  boot_timeout: 'END_REASON_BOOT_TIMEOUT',
  link_lost: 'END_REASON_LINK_LOST',
  object_lost: 'END_REASON_OBJECT_LOST',
  idle_age: 'END_REASON_IDLE_AGE',
  spec_changed: 'END_REASON_SPEC_CHANGED',
  scaled_down: 'END_REASON_SCALED_DOWN',
  node_drained: 'END_REASON_NODE_DRAINED',
  image_missing: 'END_REASON_IMAGE_MISSING',
  runtime_unavailable: 'END_REASON_RUNTIME_UNAVAILABLE',
  node_lost: 'END_REASON_NODE_LOST',
};

export const wireNodeState: Readonly<Record<NodeState, Exclude<WireNodeState, number>>> = {
  active: 'NODE_STATE_ACTIVE',
  cordoned: 'NODE_STATE_CORDONED',
  draining: 'NODE_STATE_DRAINING',
  drained: 'NODE_STATE_DRAINED',
  shutting_down: 'NODE_STATE_SHUTTING_DOWN',
  silent: 'NODE_STATE_SILENT',
  lost: 'NODE_STATE_LOST',
  stopped: 'NODE_STATE_STOPPED',
};

export const wireOnMiss: Readonly<Record<OnMiss, Exclude<WireOnMiss, number>>> = {
  cold: 'ON_MISS_COLD',
  wait: 'ON_MISS_WAIT',
  fail: 'ON_MISS_FAIL',
};

export const wireTargetReason: Readonly<Record<TargetReason, Exclude<WireTargetReason, number>>> = {
  min_ready: 'TARGET_REASON_MIN_READY',
  load: 'TARGET_REASON_LOAD',
  surge: 'TARGET_REASON_SURGE',
  held: 'TARGET_REASON_HELD',
  burst: 'TARGET_REASON_BURST',
  unused: 'TARGET_REASON_UNUSED',
};

export const wireTargetLimit: Readonly<Record<TargetLimit, Exclude<WireTargetLimit, number>>> = {
  none: 'TARGET_LIMIT_NONE',
  max_ready: 'TARGET_LIMIT_MAX_READY',
  max_total: 'TARGET_LIMIT_MAX_TOTAL',
  starts_in_flight: 'TARGET_LIMIT_STARTS_IN_FLIGHT',
};
