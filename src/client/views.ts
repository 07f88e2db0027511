import { type NodeState, nodeStates } from '../domain/node-state.ts';
import type { OnMiss } from '../domain/pool-spec.ts';
import {
  type EndReason,
  endReasons,
  type Launch,
  type SandboxState,
  sandboxStates,
} from '../domain/sandbox.ts';
import { type TargetLimit, type TargetReason, targetLimits, targetReasons } from '../domain/sizing.ts';
import type { Duration__Output } from '../grpc/gen/google/protobuf/Duration.ts';
import type { Timestamp__Output } from '../grpc/gen/google/protobuf/Timestamp.ts';
import type { Node__Output } from '../grpc/gen/warmpool/v1/Node.ts';
import type { Pool__Output } from '../grpc/gen/warmpool/v1/Pool.ts';
import type { PoolSizing__Output } from '../grpc/gen/warmpool/v1/PoolSizing.ts';
import type { Sandbox__Output } from '../grpc/gen/warmpool/v1/Sandbox.ts';
import type { SandboxEvent__Output } from '../grpc/gen/warmpool/v1/SandboxEvent.ts';
import {
  wireEndReason,
  wireNodeState,
  wireOnMiss,
  wireState,
  wireTargetLimit,
  wireTargetReason,
} from '../grpc/wire/enum-names.ts';

/** A sandbox as a client sees it. Dates are the service's store's; arm timers with `remainingMs`. */
export interface SandboxView {
  readonly id: string;
  readonly template: string;
  readonly state: SandboxState | 'unknown';
  readonly launch: Launch;
  readonly nodeId: string;
  readonly createdAt: Date;
  readonly expiresAt: Date | null;
  readonly remainingMs: number | null;
  readonly endOfLifeAt: Date | null;
  readonly metadata: Readonly<Record<string, string>>;
  /** Empty while the service has no data plane. */
  readonly wsUrl: string;
  readonly dataToken: string;
  readonly endReason: EndReason | null;
  /** Empty unless it failed. */
  readonly failure: string;
}

export interface SandboxEventView {
  /** Resume after it. */
  readonly eventId: string;
  readonly id: string;
  readonly template: string;
  readonly from: SandboxState | 'unknown' | null;
  readonly to: SandboxState | 'unknown';
  readonly reason: EndReason | null;
  readonly at: Date;
  readonly nodeId: string;
}

export interface PoolSummary {
  readonly name: string;
  readonly runtime: string;
  readonly specVersion: string;
  readonly minReady: number;
  readonly maxReady: number;
  readonly maxTotal: number;
  readonly startsInFlightMax: number;
  readonly maxIdleAgeMs: number;
  readonly onMiss: OnMiss;
  readonly targetHitRatio: number;
  readonly burst: number;
  readonly scaleToZeroAfterMs: number;
  readonly target: number;
  readonly ready: number;
  readonly starting: number;
  readonly live: number;
  /** Creates that wait for a ready one. */
  readonly waiting: number;
  readonly counters: {
    readonly hits: number;
    readonly missesEmpty: number;
    readonly missesUncacheable: number;
    readonly missesOverLimit: number;
    readonly startsWarm: number;
    readonly startsCold: number;
    readonly startsFailed: number;
    readonly boots: number;
    readonly bootMs: number;
  };
  readonly note: string;
  readonly sizing: PoolSizingView;
}

/** Where a pool's target comes from. */
export interface PoolSizingView {
  readonly claimsPerSecond: number;
  /** null until a sandbox has come up. */
  readonly bootMs: number | null;
  /** Claims in the time of one boot. */
  readonly offeredLoad: number;
  /** What the load asks for, before minReady and maxReady. */
  readonly wanted: number;
  /** null without load. */
  readonly expectedHitRatio: number | null;
  readonly reason: TargetReason | 'unknown';
  readonly limit: TargetLimit | 'unknown';
}

export function parseSandbox(wire: Sandbox__Output | null): SandboxView {
  if (wire === null) throw new Error('the service answered without a sandbox');
  return {
    id: wire.id,
    template: wire.template,
    state: stateOf(wire.state),
    launch: wire.launch === 'LAUNCH_COLD' ? 'cold' : 'warm',
    nodeId: wire.nodeId,
    createdAt: parseTimestamp(wire.createdAt) ?? new Date(0),
    expiresAt: parseTimestamp(wire.expiresAt),
    remainingMs: wire.remaining && durationMs(wire.remaining),
    endOfLifeAt: parseTimestamp(wire.endOfLifeAt),
    metadata: wire.metadata,
    wsUrl: wire.wsUrl,
    dataToken: wire.dataToken,
    endReason: reasonOf(wire.endReason),
    failure: wire.failure,
  };
}

export function parseEvent(wire: SandboxEvent__Output): SandboxEventView {
  return {
    eventId: wire.eventId,
    id: wire.id,
    template: wire.template,
    from: wire.from === 'SANDBOX_STATE_UNSPECIFIED' ? null : stateOf(wire.from),
    to: stateOf(wire.to),
    reason: reasonOf(wire.reason),
    at: parseTimestamp(wire.at) ?? new Date(0),
    nodeId: wire.nodeId,
  };
}

export function parsePool(wire: Pool__Output | null): PoolSummary {
  if (!wire?.size || !wire.counters) throw new Error('the service answered without a pool');
  const { size } = wire;
  const onMiss = (['cold', 'wait', 'fail'] as const).find((choice) => wireOnMiss[choice] === size.onMiss);
  return {
    name: wire.name,
    runtime: wire.runtime,
    specVersion: wire.specVersion,
    minReady: size.minReady,
    maxReady: size.maxReady,
    maxTotal: size.maxTotal,
    startsInFlightMax: size.startsInFlightMax,
    maxIdleAgeMs: size.maxIdleAge ? durationMs(size.maxIdleAge) : 0,
    onMiss: onMiss ?? 'cold',
    targetHitRatio: size.targetHitRatio,
    burst: size.burst,
    scaleToZeroAfterMs: size.scaleToZeroAfter ? durationMs(size.scaleToZeroAfter) : 0,
    target: wire.target,
    ready: wire.ready,
    starting: wire.starting,
    live: wire.live,
    waiting: wire.waiting,
    counters: wire.counters,
    note: wire.note,
    sizing: parseSizing(wire.sizing),
  };
}

/** A node as an operator sees it. */
export interface NodeSummary {
  readonly id: string;
  readonly state: NodeState | 'unknown';
  readonly runtimes: readonly string[];
  readonly pools: readonly string[];
  readonly sandboxes: number;
  readonly capacity: number;
  /** null: it was shut down. */
  readonly heartbeatAgeMs: number | null;
  /** null: it is under no order. */
  readonly orderedForMs: number | null;
  /** null: no drain ends anything. */
  readonly drainEndsInMs: number | null;
  /** null in lists. */
  readonly left: NodeSandboxesView | null;
}

export interface NodeSandboxesView {
  readonly starting: number;
  readonly ready: number;
  readonly running: number;
  readonly stopping: number;
}

export function parseNode(wire: Node__Output | null): NodeSummary {
  if (!wire) throw new Error('the service answered without a node');
  const { id, runtimes, pools, sandboxes, capacity, left } = wire;
  return {
    ...{ id, runtimes, pools, sandboxes, capacity, left },
    state: nodeStates.find((state) => wireNodeState[state] === wire.state) ?? 'unknown',
    heartbeatAgeMs: wire.heartbeatAge && durationMs(wire.heartbeatAge),
    orderedForMs: wire.orderedFor && durationMs(wire.orderedFor),
    drainEndsInMs: wire.drainEndsIn && durationMs(wire.drainEndsIn),
  };
}

/** A service that does not size its pools says nothing: such a pool is at its minimum. */
function parseSizing(wire: PoolSizing__Output | null): PoolSizingView {
  return {
    claimsPerSecond: wire?.claimsPerSecond ?? 0,
    bootMs: wire?.bootTime ? durationMs(wire.bootTime) : null,
    offeredLoad: wire?.offeredLoad ?? 0,
    wanted: wire?.wanted ?? 0,
    expectedHitRatio: wire?.expectedHitRatio ?? null,
    reason: targetReasons.find((reason) => wireTargetReason[reason] === wire?.reason) ?? 'unknown',
    limit: targetLimits.find((limit) => wireTargetLimit[limit] === wire?.limit) ?? 'unknown',
  };
}

export function durationMs(wire: Duration__Output): number {
  return wire.seconds * 1_000 + wire.nanos / 1e6;
}

function parseTimestamp(wire: Timestamp__Output | null): Date | null {
  return wire && new Date(wire.seconds * 1_000 + wire.nanos / 1e6);
}

/** A newer service may know more states and reasons than this client. */
function stateOf(wire: string): SandboxState | 'unknown' {
  return sandboxStates.find((state) => wireState[state] === wire) ?? 'unknown';
}

function reasonOf(wire: string): EndReason | null {
  return endReasons.find((reason) => wireEndReason[reason] === wire) ?? null;
}
