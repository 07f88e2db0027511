import type { Clock } from '../../domain/clock.ts';
import { assertThat } from '../../domain/errors.ts';
import { newClaimId } from '../../domain/ids.ts';
import type { EndReason, SandboxRecord, SandboxState } from '../../domain/sandbox.ts';
import type { Demand } from '../../domain/sizing.ts';
import { isAllowed } from '../../domain/transitions.ts';
import { matchesQuery } from '../list-filter.ts';
import { formatPageToken, parsePageToken } from '../page-token.ts';
import type {
  BoundSandbox,
  ClaimAnswer,
  ClaimRequest,
  DueSandbox,
  EventCursor,
  ExpireAnswer,
  HealReport,
  HeardNode,
  ListPage,
  ListQuery,
  LossAnswer,
  NewNodeOrder,
  NodeFence,
  NodeOrder,
  NodeStatus,
  Owner,
  PoolDeclaration,
  PoolSnapshot,
  PoolStore,
  ReadyAnswer,
  Refusal,
  RegisterReadyAnswer,
  RenewAnswer,
  RetireAnswer,
  SizeChange,
  StartAnswer,
  StartSlot,
  StopTarget,
  StoreEvent,
  StoreHealth,
  TransitionAnswer,
  UnclaimedSandbox,
  WaitingClaim,
} from '../pool-store.ts';
import { embeddedStorePrefix } from '../pool-store.ts';
import { bootTimeoutSentence, eventsPerShardMax } from '../store-limits.ts';
import { assertInShard, done, eventOf, idTaken, staleIncarnation, wrongState } from './answers.ts';
import { EventLog } from './event-log.ts';
import { MemoryClaims } from './memory-claims.ts';
import { MemoryNodes } from './memory-nodes.ts';
import { MemoryPool } from './memory-pool.ts';
import { deadlineOf, dueAmong, type MemorySandbox, recordOf, wasExpired } from './memory-sandbox.ts';
import { MemorySandboxes } from './memory-sandboxes.ts';
import { boundClaim, boundSandbox, leaseGoesOn, mayBeWrittenOver } from './registrations.ts';
import { RequestMemory } from './request-memory.ts';

/**
 * The store inside one process: the embedded default, and the reference that the Redis scripts are compared with.
 *
 * It owns the records of all sandboxes and derives every answer from them; the sets in MemoryPool and MemorySandboxes
 * are indexes. Each verb runs to its end without awaiting anything, which is what makes it atomic. Times
 * come from the monotonic clock, anchored once to the wall clock, so that a jump of the wall clock ends no lease.
 *
 * Invariants: a record is in `ready` of its pool exactly when its state is ready, in `starting` when it is an unclaimed
 * boot, in `live` until it has ended, in the set of its node until it was let go, in that of its owner from the claim
 * until then.
 *
 * Turned down: one list of records without indexes. It would be shorter, but a claim would cost more with every
 * sandbox in the store.
 */
export class MemoryPoolStore implements PoolStore {
  readonly storeId = `${embeddedStorePrefix}${newClaimId()}`;
  readonly #clock: Clock;
  readonly #openedAtMonotonicMs: number;
  readonly #wallOffsetMs: number;
  readonly #pools = new Map<string, MemoryPool>();
  readonly #sandboxes = new MemorySandboxes();
  readonly #requests = new RequestMemory();
  readonly #nodes = new MemoryNodes();
  readonly #claims = new MemoryClaims({
    pools: this.#pools,
    sandboxes: this.#sandboxes,
    requests: this.#requests,
    create: (...place) => this.#create(...place),
    transition: (...change) => this.#transition(...change),
    announce: (...change) => this.#announce(...change),
  });
  readonly #log: EventLog;

  constructor(deps: { readonly clock: Clock }) {
    this.#clock = deps.clock;
    this.#openedAtMonotonicMs = deps.clock.monotonicMs();
    this.#wallOffsetMs = deps.clock.wallMs() - this.#openedAtMonotonicMs;
    this.#log = new EventLog(this.storeId, eventsPerShardMax);
  }

  async open(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {}

  health(): StoreHealth {
    return { healthy: true, sinceMs: this.#openedAtMonotonicMs, runId: this.storeId };
  }

  async declarePool(declaration: PoolDeclaration): Promise<PoolSnapshot> {
    const known = this.#pools.get(declaration.name);
    const pool = known ?? new MemoryPool(declaration);
    // Nodes may have told of what they run before anybody told of its pool.
    if (known === undefined) for (const id of this.#sandboxes.liveOf(declaration.name)) pool.live.add(id);
    this.#pools.set(declaration.name, pool);
    pool.declare(declaration);
    return pool.snapshot(this.#now());
  }

  async scalePool(name: string, change: SizeChange): Promise<PoolSnapshot | null> {
    const pool = this.#pools.get(name);
    pool?.scale(change);
    return pool?.snapshot(this.#now()) ?? null;
  }

  async readPool(name: string): Promise<PoolSnapshot | null> {
    return this.#pools.get(name)?.snapshot(this.#now()) ?? null;
  }

  async noteDemand(name: string, follows: Demand | null, demand: Demand): Promise<PoolSnapshot | null> {
    const pool = this.#pools.get(name);
    pool?.note(follows, demand);
    return pool?.snapshot(this.#now()) ?? null;
  }

  async reserveStart(slot: StartSlot): Promise<StartAnswer> {
    const nowMs = this.#now();
    assertInShard(slot.id, slot.pool);
    const known = this.#sandboxes.find(slot.id, nowMs);
    if (known !== undefined) {
      if (known.pool !== slot.pool || known.nodeId !== slot.nodeId) throw idTaken(slot.id);
      return { kind: 'reserved', record: recordOf(known, nowMs) };
    }
    const pool = this.#pools.get(slot.pool);
    if (pool === undefined) return { kind: 'refused', why: 'no_pool' };
    const why = pool.whyNoStart(slot.specVersion);
    if (why !== null) return { kind: 'refused', why };

    const sandbox = this.#create(slot, pool, 'warm', nowMs);
    pool.starting.add(sandbox.id);
    pool.counters.startsWarm += 1;
    this.#announce(sandbox, null, null, nowMs);
    return { kind: 'reserved', record: recordOf(sandbox, nowMs) };
  }

  async reportReady(target: NodeFence): Promise<ReadyAnswer> {
    const nowMs = this.#now();
    const sandbox = this.#fenced(target, nowMs);
    if ('kind' in sandbox) return sandbox;
    if (sandbox.state === 'ready' || sandbox.state === 'running') return done(sandbox, nowMs);
    if (sandbox.state !== 'starting') return wrongState(sandbox);

    sandbox.readyAtMs = nowMs;
    const pool = this.#pools.get(sandbox.pool);
    pool?.countBoot(nowMs - sandbox.createdAtMs);
    const { claim } = sandbox;
    if (claim === undefined) {
      this.#transition(sandbox, 'ready', null, nowMs);
    } else {
      claim.endOfLifeMs = nowMs + claim.maxLifetimeMs;
      claim.expiresAtMs = Math.min(nowMs + claim.ttlMs, claim.endOfLifeMs);
      this.#transition(sandbox, 'running', null, nowMs);
    }
    return done(sandbox, nowMs);
  }

  async reportFailed(target: NodeFence, reason: EndReason, failure: string): Promise<TransitionAnswer> {
    const nowMs = this.#now();
    const sandbox = this.#fenced(target, nowMs);
    if ('kind' in sandbox) return sandbox;
    if (sandbox.state === 'failed') return done(sandbox, nowMs);
    if (!isAllowed(sandbox.state, 'failed')) return wrongState(sandbox);
    this.#fail(sandbox, reason, failure, nowMs);
    return done(sandbox, nowMs);
  }

  async registerBound(bound: BoundSandbox): Promise<TransitionAnswer> {
    const nowMs = this.#now();
    const known = this.#sandboxes.find(bound.id, nowMs);
    if (known !== undefined) {
      if (known.nodeId !== bound.nodeId) return { kind: 'refused', why: 'other_node' };
      if (leaseGoesOn(known, bound, nowMs)) return done(known, nowMs);
      if (!mayBeWrittenOver(known, bound)) return wrongState(known);
      if (known.claim !== undefined && known.claim.claimId !== bound.claim.claimId)
        this.#requests.forget(known.claim.requestKey, known.id);
      this.#pools.get(known.pool)?.drop(known.id);
      this.#sandboxes.remove(known);
    }
    const sandbox = boundSandbox(bound, known?.incarnation ?? 0);
    this.#sandboxes.add(sandbox);
    this.#pools.get(sandbox.pool)?.live.add(sandbox.id);
    this.#sandboxes.own(sandbox, boundClaim(bound, known, nowMs));
    this.#announce(sandbox, null, null, nowMs);
    return done(sandbox, nowMs);
  }

  async registerReady(unclaimed: UnclaimedSandbox): Promise<RegisterReadyAnswer> {
    const nowMs = this.#now();
    const known = this.#sandboxes.find(unclaimed.id, nowMs);
    if (known !== undefined) {
      if (known.nodeId !== unclaimed.nodeId) return { kind: 'refused', why: 'other_node' };
      return known.state === 'ready' ? done(known, nowMs) : wrongState(known);
    }
    const pool = this.#pools.get(unclaimed.pool);
    if (pool === undefined) return { kind: 'refused', why: 'no_pool' };
    const why = pool.whyNoMore(unclaimed.specVersion);
    if (why !== null) return { kind: 'refused', why };
    const sandbox = this.#create({ ...unclaimed, bootTimeoutMs: 0 }, pool, 'warm', nowMs);
    Object.assign(sandbox, { state: 'ready', readyAtMs: nowMs, incarnation: unclaimed.incarnation });
    pool.ready.add(sandbox.id);
    this.#announce(sandbox, null, null, nowMs);
    return done(sandbox, nowMs);
  }

  async claim(request: ClaimRequest): Promise<ClaimAnswer> {
    return this.#claims.claim(request, this.#now());
  }

  async stopWaiting(claim: WaitingClaim): Promise<void> {
    this.#claims.stopWaiting(claim, this.#now());
  }

  async renew(owner: Owner, ttlMs: number | null, mode: 'extend' | 'set'): Promise<RenewAnswer> {
    const nowMs = this.#now();
    const sandbox = this.#sandboxes.find(owner.id, nowMs);
    const claim = sandbox?.claim;
    if (sandbox === undefined || claim?.tenant !== owner.tenant) return { kind: 'refused', why: 'not_found' };
    if (sandbox.state !== 'running') return wrongState(sandbox);
    const wantedMs = Math.min(nowMs + (ttlMs ?? claim.ttlMs), claim.endOfLifeMs);
    claim.expiresAtMs = mode === 'set' ? wantedMs : Math.max(claim.expiresAtMs, wantedMs);
    return done(sandbox, nowMs);
  }

  async beginStop(target: StopTarget, reason: EndReason): Promise<TransitionAnswer> {
    const nowMs = this.#now();
    const sandbox = this.#sandboxes.find(target.id, nowMs);
    if (sandbox === undefined) return { kind: 'refused', why: 'not_found' };
    if (target.tenant !== null && sandbox.claim?.tenant !== target.tenant) {
      return { kind: 'refused', why: 'not_found' };
    }
    if (target.incarnation !== undefined && target.incarnation !== sandbox.incarnation) {
      return staleIncarnation(sandbox);
    }
    if (sandbox.state === 'stopping' || sandbox.state === 'stopped') return done(sandbox, nowMs);
    // Kept for its owner to learn why: who deletes it does not want to know.
    if (sandbox.state === 'failed' && target.tenant !== null) this.#sandboxes.forget(sandbox);
    if (!isAllowed(sandbox.state, 'stopping')) return wrongState(sandbox);
    this.#transition(sandbox, 'stopping', reason, nowMs);
    return done(sandbox, nowMs);
  }

  async retireSurplus(target: { readonly id: string; readonly incarnation: number }): Promise<RetireAnswer> {
    const nowMs = this.#now();
    const sandbox = this.#sandboxes.find(target.id, nowMs);
    if (sandbox === undefined) return { kind: 'refused', why: 'not_found' };
    if (target.incarnation !== sandbox.incarnation) return staleIncarnation(sandbox);
    if (sandbox.state === 'stopping' || sandbox.state === 'stopped') return done(sandbox, nowMs);
    if (sandbox.state !== 'ready') return wrongState(sandbox);
    const pool = this.#pools.get(sandbox.pool);
    if (pool !== undefined && pool.ready.size <= pool.target) return { kind: 'no_surplus' };
    this.#transition(sandbox, 'stopping', 'scaled_down', nowMs);
    return done(sandbox, nowMs);
  }

  async expire(id: string, incarnation: number): Promise<ExpireAnswer> {
    const nowMs = this.#now();
    const sandbox = this.#sandboxes.find(id, nowMs);
    if (sandbox === undefined) return { kind: 'refused', why: 'not_found' };
    if (sandbox.incarnation !== incarnation) return staleIncarnation(sandbox);
    if (wasExpired(sandbox)) return done(sandbox, nowMs);
    const deadlineMs = deadlineOf(sandbox);
    if (deadlineMs === null) return wrongState(sandbox);
    if (deadlineMs > nowMs) return { kind: 'not_due', remainingMs: deadlineMs - nowMs };

    if (sandbox.state === 'starting') {
      this.#fail(sandbox, 'boot_timeout', bootTimeoutSentence, nowMs);
    } else {
      const atEndOfLife = sandbox.claim !== undefined && deadlineMs >= sandbox.claim.endOfLifeMs;
      this.#transition(sandbox, 'stopping', atEndOfLife ? 'lifetime_exceeded' : 'lease_expired', nowMs);
    }
    return done(sandbox, nowMs);
  }

  async finishStop(target: NodeFence): Promise<TransitionAnswer> {
    const nowMs = this.#now();
    const sandbox = this.#fenced(target, nowMs);
    if ('kind' in sandbox) return sandbox;
    if (sandbox.state === 'stopping') this.#transition(sandbox, 'stopped', sandbox.endReason ?? null, nowMs);
    if (sandbox.state !== 'stopped' && sandbox.state !== 'failed') return wrongState(sandbox);
    this.#sandboxes.letGo(sandbox, nowMs);
    return done(sandbox, nowMs);
  }

  async due(limit: number): Promise<readonly DueSandbox[]> {
    const nowMs = this.#now();
    const ids = [...this.#pools.values()].flatMap((pool) => [...pool.live]);
    const live = ids.map((id) => this.#sandboxes.find(id, nowMs));
    return dueAmong(live, nowMs, limit);
  }

  async get(id: string, tenant: string | null): Promise<SandboxRecord | null> {
    const nowMs = this.#now();
    const sandbox = this.#sandboxes.find(id, nowMs);
    if (sandbox === undefined || (tenant !== null && sandbox.claim?.tenant !== tenant)) return null;
    return recordOf(sandbox, nowMs);
  }

  async list(query: ListQuery): Promise<ListPage> {
    const nowMs = this.#now();
    const places = this.#sandboxes
      .ownedBy(query.tenant, parsePageToken(query.pageToken))
      .map((place) => ({ place, record: recordOf(place.sandbox, nowMs) }))
      .filter(({ record }) => matchesQuery(record, query));
    const page = places.slice(0, query.pageSize);
    const records = page.map(({ record }) => record);
    const last = page.at(-1);
    return last !== undefined && places.length > page.length
      ? { records, nextPageToken: formatPageToken(last.place) }
      : { records };
  }

  async inventory(nodeId: string): Promise<readonly SandboxRecord[]> {
    const nowMs = this.#now();
    return this.#sandboxes.placedOn(nodeId).map((sandbox) => recordOf(sandbox, nowMs));
  }

  async heartbeat(node: NodeStatus): Promise<NodeOrder | null> {
    return this.#nodes.heard(node, this.#now());
  }

  async nodes(): Promise<readonly HeardNode[]> {
    return this.#nodes.all(this.#now());
  }

  async nodeOrders(): Promise<ReadonlyMap<string, NodeOrder>> {
    return this.#nodes.orders(this.#now());
  }

  async orderNode(nodeId: string, order: NewNodeOrder | null): Promise<boolean> {
    return this.#nodes.order(nodeId, order, this.#now());
  }

  async declareLost(nodeId: string, silentMs: number): Promise<LossAnswer> {
    return this.#nodes.lose(nodeId, silentMs, this.#now());
  }

  async removeNode(nodeId: string, silentMs = 0): Promise<void> {
    this.#nodes.remove(nodeId, silentMs, this.#now());
  }

  async follow(
    cursor: EventCursor | null,
    signal: AbortSignal,
  ): Promise<AsyncIterable<readonly StoreEvent[]>> {
    return this.#log.follow(cursor, signal);
  }

  /** The indexes here change in the same step as the records and share their memory: there is nothing to heal. */
  async healIndexes(): Promise<HealReport> {
    return { readded: 0, dropped: 0 };
  }

  #now(): number {
    return Math.floor(this.#wallOffsetMs + this.#clock.monotonicMs());
  }

  /** The node's sandbox at the incarnation it knows, or why not. */
  #fenced(target: NodeFence, nowMs: number): MemorySandbox | Refusal {
    const sandbox = this.#sandboxes.find(target.id, nowMs);
    if (sandbox === undefined) return { kind: 'refused', why: 'not_found' };
    if (sandbox.nodeId !== target.nodeId) return { kind: 'refused', why: 'other_node' };
    if (sandbox.incarnation !== target.incarnation) return staleIncarnation(sandbox);
    return sandbox;
  }

  #create(
    place: { readonly id: string; readonly nodeId: string; readonly bootTimeoutMs: number },
    pool: MemoryPool,
    launch: 'warm' | 'cold',
    nowMs: number,
  ): MemorySandbox {
    const sandbox: MemorySandbox = {
      id: place.id,
      pool: pool.name,
      specVersion: pool.specVersion,
      launch,
      nodeId: place.nodeId,
      createdAtMs: nowMs,
      bootDeadlineMs: nowMs + place.bootTimeoutMs,
      state: 'starting',
      incarnation: 1,
    };
    this.#sandboxes.add(sandbox);
    pool.live.add(sandbox.id);
    return sandbox;
  }

  /** A boot that failed gives its request id back, so that the same request may try again. */
  #fail(sandbox: MemorySandbox, reason: EndReason, failure: string, nowMs: number): void {
    if (sandbox.state === 'starting') {
      const pool = this.#pools.get(sandbox.pool);
      if (pool !== undefined) pool.counters.startsFailed += 1;
      const key = sandbox.claim?.requestKey;
      if (key !== undefined) this.#requests.forget(key, sandbox.id);
    }
    sandbox.failure = failure;
    this.#transition(sandbox, 'failed', reason, nowMs);
  }

  /** The one place where a state changes: keeps the pool's indexes and tells the followers. */
  #transition(sandbox: MemorySandbox, to: SandboxState, reason: EndReason | null, nowMs: number): void {
    const from = sandbox.state;
    assertThat(isAllowed(from, to), `a sandbox may not go from ${from} to ${to}`);
    sandbox.state = to;
    if (reason !== null) sandbox.endReason = reason;
    const pool = this.#pools.get(sandbox.pool);
    if (pool !== undefined) {
      pool.starting.delete(sandbox.id);
      pool.ready.delete(sandbox.id);
      if (to === 'ready') pool.ready.add(sandbox.id);
      if (to === 'stopped' || to === 'failed') pool.live.delete(sandbox.id);
    }
    this.#announce(sandbox, from, reason, nowMs);
  }

  #announce(
    sandbox: MemorySandbox,
    from: SandboxState | null,
    reason: EndReason | null,
    nowMs: number,
  ): void {
    this.#log.append(eventOf(sandbox, from, reason, nowMs));
  }
}
