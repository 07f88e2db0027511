import type { AskedResources, OnExpiry } from './pool-spec.ts';

export const sandboxStates = [
  'starting',
  'ready',
  'running',
  'pausing',
  'paused',
  'resuming',
  'hibernating',
  'hibernated',
  'waking',
  'stopping',
  'stopped',
  'failed',
] as const;

export type SandboxState = (typeof sandboxStates)[number];

/** How its owner got it: taken from the pool, or booted in the foreground for this claim. */
export type Launch = 'warm' | 'cold';

/** Why a sandbox ended or is ending. A closed set: it is also a metrics label. */
export const endReasons = [
  'deleted',
  'lease_expired',
  'lifetime_exceeded',
  'boot_failed',
  'boot_timeout',
  'link_lost',
  'object_lost',
  'idle_age',
  'spec_changed',
  'scaled_down',
  'node_drained',
  'image_missing',
  'runtime_unavailable',
  'node_lost',
] as const;

export type EndReason = (typeof endReasons)[number];

/** Whether somebody's time was up, rather than somebody or something ended it. */
export function isExpiry(reason: EndReason | undefined): boolean {
  return reason === 'lease_expired' || reason === 'lifetime_exceeded';
}

/** What a claim asked for beyond the template. Written into the record, applied by every later command. */
export interface Customisation {
  readonly env: Readonly<Record<string, string>>;
  readonly metadata: Readonly<Record<string, string>>;
  /** Absent means the template's. */
  readonly user?: string;
  readonly cwd?: string;
  /** Present where they are not the template's: the sandbox is booted with them. */
  readonly resources?: AskedResources;
}

/** The lease of a claimed sandbox. Times are milliseconds of the store's clock (Unix epoch). */
export interface Lease {
  readonly expiresAtMs: number;
  /** Milliseconds left when the store answered: what a node or client may arm a monotonic timer with. */
  readonly remainingMs: number;
  readonly ttlMs: number;
  /** No keepalive moves the lease past this. */
  readonly endOfLifeMs: number;
  readonly onExpiry: OnExpiry;
}

/** A sandbox as the store knows it. Times are milliseconds of the store's clock. */
export interface SandboxRecord {
  readonly id: string;
  readonly pool: string;
  /** Hash of the template it was booted from. */
  readonly specVersion: string;
  readonly state: SandboxState;
  readonly launch: Launch;
  readonly nodeId: string;
  /** Fencing number: grows each time a sandbox changes hands. */
  readonly incarnation: number;
  readonly createdAtMs: number;
  readonly readyAtMs?: number;
  /** Present once claimed (a cold start is claimed from the beginning). */
  readonly claim?: {
    readonly tenant: string;
    readonly claimId: string;
    readonly claimedAtMs: number;
    readonly customisation: Customisation;
  };
  /** Present while running (a cold start gets it when its boot is reported). */
  readonly lease?: Lease;
  readonly endReason?: EndReason;
  /** When its lease ran out. Present where that is why it ends or has ended. */
  readonly expiredAtMs?: number;
  /** A sentence for people, present in `failed`. */
  readonly failure?: string;
}
