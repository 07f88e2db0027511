import type { LoadCounters } from '../domain/load-estimate.ts';
import type { OnExpiry, PoolSize } from '../domain/pool-spec.ts';
import type { Customisation, EndReason, SandboxRecord, SandboxState } from '../domain/sandbox.ts';
import type { Demand } from '../domain/sizing.ts';

/**
 * The store's port, in domain verbs. Two adapters pass one contract suite: MemoryPoolStore (embedded default and
 * reference model) and RedisPoolStore.
 *
 * Each verb is one atomic step on one shard: it checks its own preconditions (state, incarnation, owner, lease), makes
 * the change, keeps the indexes, and appends one event per transition, or it changes nothing and says why. Times are
 * those of the store's clock, read once per step. Expected outcomes are values; the only exception a verb throws is
 * WarmpoolError STORE_UNAVAILABLE (nothing known of the outcome: repeat with the same arguments).
 *
 * Repeating a verb is safe (D1): `claim` remembers its answer under the request id; every other verb names the
 * sandbox, its incarnation and the state it wants, and answers the same when that state is already there.
 */
export interface PoolStore extends AsyncDisposable {
  /** Identity of this store's data: a new one for each embedded store, a stored one for Redis. Objects carry it (D13). */
  readonly storeId: string;

  /** Connects, checks the schema version and the server's settings. Throws when the store must not be used. */
  open(): Promise<void>;
  /**
   * Whether commands succeed, since when (on the caller's monotonic clock), and which run of the server answers: of the
   * server that has this shard, or, without one, of all together.
   */
  health(shard?: number): StoreHealth;

  /** Makes the pool known. Runtime overrides of ScalePool are kept while the declared size is unchanged. */
  declarePool(pool: PoolDeclaration): Promise<PoolSnapshot>;
  scalePool(name: string, change: SizeChange): Promise<PoolSnapshot | null>;
  readPool(name: string): Promise<PoolSnapshot | null>;
  /**
   * Writes what a look at the pool found it to need, if the one that it follows (null: none) is still the last: of all
   * nodes that look at the same time one is heard, and all act on what it wrote. Answers with the pool as it is then.
   */
  noteDemand(name: string, follows: Demand | null, demand: Demand): Promise<PoolSnapshot | null>;

  /** A start slot for one warm boot: atomic over ready + starting + target (D17). Writes the record first (D14). */
  reserveStart(slot: StartSlot): Promise<StartAnswer>;
  /** Booted and checked. An unclaimed one becomes ready; a cold start becomes running and its lease begins. */
  reportReady(target: NodeFence): Promise<ReadyAnswer>;
  /** The node says that it is lost or never came up. From any state that has not ended. */
  reportFailed(target: NodeFence, reason: EndReason, failure: string): Promise<TransitionAnswer>;

  /**
   * The node says what it knows for certain (D9): that this sandbox runs, and whose it is. Where the store knows nothing
   * of it (it was emptied, or put back), has it in its pool, or as another claim's, the truth is written over that:
   * running, this claim's, with the lease that is left, in no pool's ready set; and the request that the other claim was
   * made for is forgotten, so that the same request gets another sandbox. Where it is this claim's already, its lease is
   * made no shorter. The end of its own claim stands: `wrong_state`.
   */
  registerBound(sandbox: BoundSandbox): Promise<TransitionAnswer>;
  /**
   * The same for a sandbox that nobody has used and that the store knows nothing of: it is ready again, if the pool
   * still wants it. One that the store knows stays as it is: `wrong_state`, unless it is ready.
   */
  registerReady(sandbox: UnclaimedSandbox): Promise<RegisterReadyAnswer>;

  /**
   * Hands out a ready sandbox. When there is none and `cold` is given: the oldest warm boot in flight becomes this
   * claim's, or else a cold start is reserved. When `wait` is given instead, the claim has a place among those who wait
   * for the pool. Otherwise says that there is none.
   *
   * None is there for a claim, either, while those that are ready are only enough for whoever waits before it and for what
   * is reserved for other tenants. With `limits`, nothing is taken that goes over them.
   */
  claim(request: ClaimRequest): Promise<ClaimAnswer>;
  /** Gives up the place of a claim that waits, and what its tenant's limits were charged for it. One that was served stays. */
  stopWaiting(claim: WaitingClaim): Promise<void>;

  /**
   * Moves the lease of a running sandbox; `ttlMs` null means the lease's own ttl. `extend` never shortens it; `set`
   * may. Both end at the end of life at the latest, and neither changes the lease's own ttl. A lease that has passed but
   * was not reaped yet may still be renewed: owners who could not reach the store keep what is theirs.
   */
  renew(owner: Owner, ttlMs: number | null, mode: 'extend' | 'set'): Promise<RenewAnswer>;
  /**
   * running (or starting, ready) → stopping, for an owner's delete (`tenant`) or the system's (`null`). A failed one is
   * refused as such, and when its owner deletes it after its object is gone, its record goes at once.
   */
  beginStop(target: StopTarget, reason: EndReason): Promise<TransitionAnswer>;
  /** ready → stopping, only while more are ready than the pool wants: nodes that see one surplus never end two (D4). */
  retireSurplus(target: { readonly id: string; readonly incarnation: number }): Promise<RetireAnswer>;
  /** The reaper's step (D12): running → stopping, or starting → failed, only if the deadline has really passed. */
  expire(id: string, incarnation: number): Promise<ExpireAnswer>;
  /**
   * The object is gone: stopping → stopped, or a failed one let go. The record is kept for `endedRecordMs`, that of one
   * whose time was up for `expiredRecordMs`.
   */
  finishStop(target: NodeFence): Promise<TransitionAnswer>;

  /** Ids whose lease or boot deadline has passed, oldest first: candidates only, `expire` decides. */
  due(limit: number): Promise<readonly DueSandbox[]>;
  /** `tenant` null reads any; otherwise a foreign, unclaimed or unknown id is null (A4). */
  get(id: string, tenant: string | null): Promise<SandboxRecord | null>;
  /** A tenant's claimed sandboxes, newest first within a shard. */
  list(query: ListQuery): Promise<ListPage>;
  /** Everything the store believes to be on a node, whatever its state, `finishStop` not yet done. */
  inventory(nodeId: string): Promise<readonly SandboxRecord[]>;

  /** A node lives, and says what it has. Answers with what the operator has ordered for it; null: nothing. */
  heartbeat(node: NodeStatus): Promise<NodeOrder | null>;
  /** Every node that was heard of and not removed, by its id. */
  nodes(): Promise<readonly HeardNode[]>;
  /** What the operator has ordered, by node: also for nodes that are not there. A node's restart changes nothing of it. */
  nodeOrders(): Promise<ReadonlyMap<string, NodeOrder>>;
  /** null takes the order back. False: nothing was ever heard of this node, and nothing was changed. */
  orderNode(nodeId: string, order: NewNodeOrder | null): Promise<boolean>;
  /**
   * Writes down that a node is lost, only if it has been silent for `silentMs` by the store's clock in this step (D4). It
   * stays lost until its next heartbeat. `first`: nobody had written it before.
   */
  declareLost(nodeId: string, silentMs: number): Promise<LossAnswer>;
  /** Forgets its heartbeat, not what the operator ordered. With `silentMs`, only if it was silent for so long. */
  removeNode(nodeId: string, silentMs?: number): Promise<void>;

  /**
   * Events after `cursor` (null: from now on), in batches, until the signal aborts. Wakes; never decides (D6).
   *
   * Settles once the starting place is fixed: whatever happens after that is told, whoever causes it and over whichever
   * connection; what happens between the call and its answer may be told or not. Without a cursor it fails with
   * STORE_UNAVAILABLE while the store is away: starting later by itself would leave out what the caller counts on.
   * The iteration waits through outages. A cursor that is not this store's, or whose events are no longer kept, is
   * WarmpoolError INVALID_REQUEST on `after_event_id`, here or in the iteration.
   */
  follow(cursor: EventCursor | null, signal: AbortSignal): Promise<AsyncIterable<readonly StoreEvent[]>>;
  /** Re-adds lost members of the lease index, drops garbage; the number healed stays 0 in a healthy store (D5). */
  healIndexes(): Promise<HealReport>;
}

/** Ids of embedded stores begin with it, and no other's do: such a store has died with its process. */
export const embeddedStorePrefix = 'mem-';

export interface StoreHealth {
  readonly healthy: boolean;
  /** Monotonic milliseconds of when the present health began. */
  readonly sinceMs: number;
  /** Changes when the server was restarted or replaced. */
  readonly runId: string;
}

export interface PoolDeclaration {
  readonly name: string;
  readonly specVersion: string;
  readonly size: PoolSize;
  /** Ready ones that are kept for a tenant, less those it has already. Absent: as it was declared before. */
  readonly reserved?: Readonly<Record<string, number>>;
}

export type SizeChange = Partial<Pick<PoolSize, 'minReady' | 'maxReady' | 'maxTotal'>>;

export interface PoolSnapshot {
  readonly name: string;
  readonly specVersion: string;
  readonly size: PoolSize;
  /** How many ready + starting the pool wants now: what its load asks for, from minReady to maxReady. */
  readonly target: number;
  /** What was last found of its load; null: nobody has looked yet. */
  readonly demand: Demand | null;
  readonly ready: number;
  /** Warm boots in flight (cold starts are not among them). */
  readonly starting: number;
  /** Everything not ended: starting (warm and cold), ready, running, stopping. */
  readonly live: number;
  /** Claims that wait for it. */
  readonly waiting: number;
  readonly counters: PoolCounters;
  /** The store's clock when it was read. */
  readonly readAtMs: number;
}

/** Since the pool was first declared. A claim that comes again because it waits counts once, as the miss it began with. */
export interface PoolCounters {
  readonly hits: number;
  /** None was ready that this claim could have: there was none, or others come first. */
  readonly missesEmpty: number;
  /** A warm one could not take on what was asked. */
  readonly missesUncacheable: number;
  /** The tenant had reached a limit of its own; these are no load. */
  readonly missesOverLimit: number;
  readonly startsWarm: number;
  readonly startsCold: number;
  readonly startsFailed: number;
  /** Boots that came up, of both kinds, and the milliseconds from their reservation to that, in all. */
  readonly boots: number;
  readonly bootMs: number;
}

/** What a pool's load is found from. Claims that no warm sandbox could have served say nothing of its size. */
export function loadCountersOf({ hits, missesEmpty, boots, bootMs }: PoolCounters): LoadCounters {
  return { claims: hits + missesEmpty, boots, bootMs };
}

export interface StartSlot {
  readonly id: string;
  readonly pool: string;
  readonly nodeId: string;
  readonly specVersion: string;
  readonly bootTimeoutMs: number;
}

export type StartAnswer =
  | { readonly kind: 'reserved'; readonly record: SandboxRecord }
  | {
      readonly kind: 'refused';
      readonly why: 'target_met' | 'starts_in_flight' | 'max_total' | 'spec_changed' | 'no_pool';
    };

/** Who may report about a sandbox: its node, at the incarnation it knows. */
export interface NodeFence {
  readonly id: string;
  readonly nodeId: string;
  readonly incarnation: number;
}

export type Refusal = {
  readonly kind: 'refused';
  readonly why: 'not_found' | 'wrong_state' | 'stale_incarnation' | 'other_node';
  readonly state?: SandboxState;
};

export type TransitionAnswer = { readonly kind: 'done'; readonly record: SandboxRecord } | Refusal;
export type ReadyAnswer = TransitionAnswer;
export type RenewAnswer = TransitionAnswer;
export type RetireAnswer = TransitionAnswer | { readonly kind: 'no_surplus' };
export type ExpireAnswer = TransitionAnswer | { readonly kind: 'not_due'; readonly remainingMs: number };

/** A claimed sandbox as its node knows it. */
export interface BoundSandbox
  extends Pick<
    SandboxRecord,
    'id' | 'pool' | 'specVersion' | 'launch' | 'nodeId' | 'incarnation' | 'createdAtMs' | 'readyAtMs'
  > {
  readonly claim: NonNullable<SandboxRecord['claim']>;
  readonly leaseTtlMs: number;
  readonly onExpiry: OnExpiry;
  /** Until the lease ends, and until no keepalive moves that any further. */
  readonly leaseLeftMs: number;
  readonly lifeLeftMs: number;
}

/** A sandbox that was booted for its pool and never used. */
export type UnclaimedSandbox = Pick<SandboxRecord, 'id' | 'pool' | 'specVersion' | 'nodeId' | 'incarnation'>;

export type RegisterReadyAnswer = TransitionAnswer | Extract<StartAnswer, { readonly kind: 'refused' }>;

export interface ClaimRequest {
  readonly pool: string;
  readonly tenant: string;
  readonly requestId: string;
  /**
   * SHA-256 of the request's canonical body: the same request id with another body is refused. The memory lies in the
   * pool's shard (a script touches one): Redis does not notice a request id that comes again for a pool of another one.
   */
  readonly bodyHash: string;
  readonly claimId: string;
  readonly leaseTtlMs: number;
  readonly maxLifetimeMs: number;
  readonly onExpiry: OnExpiry;
  readonly customisation: Customisation;
  /** False when a warm sandbox cannot take on what is asked: the ready set is not looked at. */
  readonly warm: boolean;
  /** True when this request was told before that none is ready, and asks again: it is counted already. */
  readonly waiting?: boolean;
  /** On a miss: take a place among those who wait, or keep the one that it has. Nothing, when `cold` is given too. */
  readonly wait?: WaitTerms;
  /** Of the tenant, over all pools. Absent: it has none. */
  readonly limits?: ClaimLimits;
  /** Where and as what to reserve a cold start on a miss when no boot is in flight; null: the request wants none. */
  readonly cold: { readonly id: string; readonly nodeId: string; readonly bootTimeoutMs: number } | null;
}

/** A place is kept for as long as whoever waits comes back; all claims that wait are bounded. */
export interface WaitTerms {
  /** The place is lost when the claim does not ask again for so long. */
  readonly leaseMs: number;
  /** Claims that may wait for the pool, and those of one tenant among them. */
  readonly poolMax: number;
  readonly tenantMax: number;
}

export interface ClaimLimits {
  /** Sandboxes that are claimed and neither ended nor on their way out, and claims that wait. null: any number. */
  readonly maxRunning: number | null;
  readonly createsPerSecond: number | null;
  /** As many may come at once after a pause. At least 1. */
  readonly createsBurst: number;
}

export type LimitName = 'running' | 'creates_per_second';

export interface WaitingClaim
  extends Pick<ClaimRequest, 'pool' | 'tenant' | 'requestId' | 'claimId' | 'limits'> {
  /** The place is kept for so long still: the same request may have come a second time, and wait at the same place. */
  readonly keptMs: number;
}

export type ClaimAnswer =
  /** Running and leased (or, when `repeated`, whatever it has become since). */
  | { readonly kind: 'claimed'; readonly record: SandboxRecord; readonly repeated: boolean }
  /** A boot is this claim's, begun before or reserved now: the record's node boots it, `reportReady` makes it running. */
  | { readonly kind: 'starting'; readonly record: SandboxRecord; readonly repeated: boolean }
  | { readonly kind: 'empty'; readonly why: EmptyReason }
  /** It has a place: asking again is of use once `readyNeeded` more have become ready, and is needed to keep the place. */
  | { readonly kind: 'waiting'; readonly readyNeeded: number }
  | {
      readonly kind: 'over_limit';
      readonly limit: LimitName;
      readonly max: number;
      /** How much of it is in use: sandboxes; or creates of the burst that have not come back. */
      readonly current: number;
      /** When there will be room; null: when one of the tenant's sandboxes ends. */
      readonly retryAfterMs: number | null;
    }
  | { readonly kind: 'request_id_reused' }
  | { readonly kind: 'no_pool' };

/** `queue_full`: as many wait as may; `tenant_queue_full`: as many of this tenant. */
export type EmptyReason = 'no_ready' | 'max_total' | 'queue_full' | 'tenant_queue_full';

export interface Owner {
  readonly id: string;
  readonly tenant: string;
}

export interface StopTarget {
  readonly id: string;
  readonly tenant: string | null;
  /** Absent: whatever it is now. */
  readonly incarnation?: number;
}

export interface DueSandbox {
  readonly id: string;
  readonly incarnation: number;
}

export interface ListQuery {
  readonly tenant: string;
  readonly pool?: string;
  readonly states?: readonly SandboxState[];
  /** Each pair must be equal in the sandbox's metadata. */
  readonly metadata?: Readonly<Record<string, string>>;
  readonly pageSize: number;
  /** Opaque, from the page before. An unreadable one is WarmpoolError INVALID_REQUEST on `page_token`. */
  readonly pageToken?: string;
}

export interface ListPage {
  readonly records: readonly SandboxRecord[];
  readonly nextPageToken?: string;
}

export interface NodeStatus {
  readonly nodeId: string;
  readonly runtimes: readonly string[];
  /** The pools that one of its runtimes can carry. */
  readonly pools: readonly string[];
  /** Its process is being shut down. */
  readonly draining: boolean;
  /** The operator's order that it has carried out: none of its sandboxes is ready any more. */
  readonly obeys: NodeOrder['kind'] | null;
  /** Sandboxes it has, and may have. */
  readonly sandboxes: number;
  readonly capacity: number;
  /** Where clients open data sockets of its sandboxes (`ws_url` begins with it); absent: only through an allocator. */
  readonly dataUrl?: string;
  /** Where the other processes of the service do; absent: its data port can be reached by none of them. */
  readonly nodeUrl?: string;
}

/** A node as its last heartbeat told, and how long ago that was. Lengths of time are of the store's clock. */
export interface HeardNode extends NodeStatus {
  readonly heartbeatAgeMs: number;
  /** When that was: good for nothing but to see whether there was another one since. */
  readonly heartbeatAtMs: number;
  /** How long it has been written down as lost; null: it is not. */
  readonly lostForMs: number | null;
  readonly order: NodeOrder | null;
}

/**
 * What the operator wants of a node. `cordon`: nothing new is started on it and nothing ready handed out from it, and what
 * runs goes on. `drain`: the same, and what runs is ended when the time is up.
 */
export type NodeOrder =
  | { readonly kind: 'cordon'; readonly forMs: number }
  | {
      readonly kind: 'drain';
      readonly forMs: number;
      /** 0: the time is up; null: there is no end to it. */
      readonly endsInMs: number | null;
    };

export type NewNodeOrder =
  | { readonly kind: 'cordon' }
  | { readonly kind: 'drain'; readonly timeoutMs: number | null };

export type LossAnswer =
  | { readonly kind: 'lost'; readonly first: boolean }
  | { readonly kind: 'alive' }
  | { readonly kind: 'not_found' };

/** Opaque, printable, at most 512 characters: a position in every shard's stream at once. */
export type EventCursor = string;

export interface StoreEvent {
  /** Resume after this event with it. */
  readonly cursor: EventCursor;
  readonly id: string;
  readonly incarnation: number;
  readonly pool: string;
  readonly tenant: string | null;
  readonly nodeId: string;
  /** null: the record was made by this step, or a boot in flight was given to a claim. */
  readonly from: SandboxState | null;
  readonly to: SandboxState;
  readonly reason: EndReason | null;
  /** Store's clock. */
  readonly atMs: number;
}

export interface HealReport {
  readonly readded: number;
  readonly dropped: number;
}
