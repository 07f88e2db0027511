import { assertThat } from '../../domain/errors.ts';
import type { EndReason, SandboxState } from '../../domain/sandbox.ts';
import { countsAsRunning } from '../leased-states.ts';
import type { ClaimAnswer, ClaimRequest, WaitingClaim } from '../pool-store.ts';
import { requestKey } from '../request-key.ts';
import { claimCandidatesMax } from '../store-limits.ts';
import { answerOf, assertInShard, idTaken } from './answers.ts';
import { CreateBuckets } from './create-buckets.ts';
import type { MemoryPool } from './memory-pool.ts';
import { claimOf, isFirstAsking, type MemorySandbox, nearestBoot, recordOf } from './memory-sandbox.ts';
import type { MemorySandboxes } from './memory-sandboxes.ts';
import type { RequestMemory } from './request-memory.ts';

export interface MemoryClaimsDeps {
  readonly pools: ReadonlyMap<string, MemoryPool>;
  readonly sandboxes: MemorySandboxes;
  readonly requests: RequestMemory;
  readonly create: (
    place: NonNullable<ClaimRequest['cold']>,
    pool: MemoryPool,
    launch: 'cold',
    nowMs: number,
  ) => MemorySandbox;
  readonly transition: (
    sandbox: MemorySandbox,
    to: SandboxState,
    reason: EndReason | null,
    nowMs: number,
  ) => void;
  /** Tells of a record that was made or given to a claim. */
  readonly announce: (sandbox: MemorySandbox, from: null, reason: null, nowMs: number) => void;
}

/** The claim of the memory store: who gets a sandbox, who waits for one, and who is over a limit. */
export class MemoryClaims {
  readonly #deps: MemoryClaimsDeps;
  readonly #buckets = new CreateBuckets();

  constructor(deps: MemoryClaimsDeps) {
    this.#deps = deps;
  }

  claim(request: ClaimRequest, nowMs: number): ClaimAnswer {
    const remembered = this.#recall(request, nowMs);
    if (remembered !== null) return remembered;
    const pool = this.#deps.pools.get(request.pool);
    if (pool === undefined) return { kind: 'no_pool' };
    pool.queue.clear(nowMs);
    const refusal = this.#whyOverLimit(request, pool, nowMs);
    if (refusal !== null) {
      pool.counters.missesOverLimit += 1;
      return refusal;
    }

    // The place comes first: it may be before others who came earlier.
    const waits = request.warm && request.cold === null ? request.wait : undefined;
    const key = requestKey(request.tenant, request.requestId);
    const waiter = { request: key, tenant: request.tenant, isCharged: request.limits !== undefined };
    const isLate = waits !== undefined && !this.#mayTake(pool, request, pool.ready.size);
    const noPlace = isLate ? pool.queue.wait(waiter, waits, nowMs) : null;

    const candidate = request.warm ? this.#popCandidate(pool, request, nowMs) : null;
    if (candidate !== null) {
      candidate.incarnation += 1;
      this.#own(candidate, pool, request, nowMs);
      this.#deps.transition(candidate, 'running', null, nowMs);
      if (isFirstAsking(request)) pool.counters.hits += 1;
      return { kind: 'claimed', record: recordOf(candidate, nowMs), repeated: false };
    }

    if (isFirstAsking(request)) pool.counters[request.warm ? 'missesEmpty' : 'missesUncacheable'] += 1;
    if (waits === undefined) return this.#reserveCold(pool, request, nowMs);
    const why = noPlace ?? pool.queue.wait(waiter, waits, nowMs);
    if (why !== null) return { kind: 'empty', why };
    return { kind: 'waiting', readyNeeded: Math.max(1, this.#missing(pool, request, pool.ready.size)) };
  }

  stopWaiting({ pool: name, tenant, requestId, claimId, keptMs }: WaitingClaim, nowMs: number): void {
    const { pools, requests, sandboxes } = this.#deps;
    const key = requestKey(tenant, requestId);
    const served = requests.recall(key, nowMs);
    if (served !== null && sandboxes.find(served.sandboxId, nowMs)?.claim?.claimId === claimId) return;
    const queue = pools.get(name)?.queue;
    if (keptMs > 0) queue?.keepOnly(key, nowMs + keptMs);
    else queue?.leave(key);
  }

  /** What this request id was answered, seen from now; null when it is new (D1). */
  #recall(request: ClaimRequest, nowMs: number): ClaimAnswer | null {
    const remembered = this.#deps.requests.recall(requestKey(request.tenant, request.requestId), nowMs);
    if (remembered === null) return null;
    if (remembered.bodyHash !== request.bodyHash) return { kind: 'request_id_reused' };
    const sandbox = this.#deps.sandboxes.find(remembered.sandboxId, nowMs);
    assertThat(sandbox !== undefined, 'a record is kept at least as long as the memory of its request');
    return answerOf(sandbox, nowMs);
  }

  #whyOverLimit(
    { tenant, requestId, limits, waiting }: ClaimRequest,
    pool: MemoryPool,
    nowMs: number,
  ): Extract<ClaimAnswer, { kind: 'over_limit' }> | null {
    if (limits === undefined) return null;
    const { maxRunning, createsPerSecond } = limits;
    const request = requestKey(tenant, requestId);
    const current = maxRunning === null ? 0 : this.#running(tenant, request);
    if (maxRunning !== null && current >= maxRunning)
      return { kind: 'over_limit', limit: 'running', max: maxRunning, current, retryAfterMs: null };
    if (waiting || pool.queue.has(request)) return null;
    const used = this.#buckets.take(tenant, limits, nowMs);
    if (used === null) return null;
    return { kind: 'over_limit', limit: 'creates_per_second', max: createsPerSecond ?? 0, ...used };
  }

  /** What counts, but for this request itself. */
  #running(tenant: string, butFor: string): number {
    const { pools, sandboxes } = this.#deps;
    const waiting = [...pools.values()].map(({ queue }) => queue.countCharged(tenant, butFor));
    return waiting.reduce(
      (sum, count) => sum + count,
      sandboxes.countOwned(tenant, ({ state }) => countsAsRunning(state)),
    );
  }

  #mayTake(pool: MemoryPool, request: ClaimRequest, available: number): boolean {
    return this.#missing(pool, request, available) <= 0;
  }

  /** How many more there must be: for everybody before it, or, on its tenant's own share, for those of its tenant. */
  #missing(pool: MemoryPool, { tenant, requestId }: ClaimRequest, available: number): number {
    let heldForOthers = 0;
    let ownShare = 0;
    for (const [name, count] of Object.entries(pool.reserved)) {
      const has = this.#deps.sandboxes.countOwned(
        name,
        ({ pool: of, state }) => of === pool.name && countsAsRunning(state),
      );
      const left = Math.max(0, count - has);
      if (name === tenant) ownShare = left;
      else heldForOthers += left;
    }
    const { ahead, ownAhead } = pool.queue.standing(requestKey(tenant, requestId), tenant);
    const before = ownShare > ownAhead ? ownAhead : ahead;
    return before + 1 - (available - heldForOthers);
  }

  /** Takes ready ones, oldest first, until one is good; the bad ones leave the pool for good (D15, D18). */
  #popCandidate(pool: MemoryPool, request: ClaimRequest, nowMs: number): MemorySandbox | null {
    const { sandboxes, transition } = this.#deps;
    for (let tries = 0; tries < claimCandidatesMax; tries += 1) {
      if (!this.#mayTake(pool, request, pool.ready.size)) return null;
      const [id] = pool.ready;
      const sandbox = id === undefined ? undefined : sandboxes.find(id, nowMs);
      if (sandbox === undefined) return null;
      const idleMs = nowMs - (sandbox.readyAtMs ?? 0);
      if (sandbox.specVersion !== pool.specVersion) transition(sandbox, 'stopping', 'spec_changed', nowMs);
      else if (idleMs >= pool.size.maxIdleAgeMs) transition(sandbox, 'stopping', 'idle_age', nowMs);
      else return sandbox;
    }
    return null;
  }

  #reserveCold(pool: MemoryPool, request: ClaimRequest, nowMs: number): ClaimAnswer {
    const { cold } = request;
    if (cold === null) return { kind: 'empty', why: 'no_ready' };
    assertInShard(cold.id, pool.name);
    const known = this.#deps.sandboxes.find(cold.id, nowMs);
    if (known !== undefined) {
      // The boot of this very request has failed since and let go of its request id: its end is the answer.
      if (known.claim?.requestKey !== requestKey(request.tenant, request.requestId)) throw idTaken(cold.id);
      return answerOf(known, nowMs);
    }
    // A boot in flight is as good as a ready one to those who wait.
    const mayTakeOver = request.warm && this.#mayTake(pool, request, pool.ready.size + pool.starting.size);
    const boot = mayTakeOver ? this.#bootInFlight(pool, nowMs) : null;
    if (boot !== null) return this.#takeOver(boot, pool, request, nowMs);
    if (pool.live.size >= pool.size.maxTotal) return { kind: 'empty', why: 'max_total' };
    const sandbox = this.#deps.create(cold, pool, 'cold', nowMs);
    this.#own(sandbox, pool, request, nowMs);
    pool.counters.startsCold += 1;
    this.#deps.announce(sandbox, null, null, nowMs);
    return { kind: 'starting', record: recordOf(sandbox, nowMs), repeated: false };
  }

  /** The warm boot in flight that is nearest to its end, unless it is overdue. */
  #bootInFlight(pool: MemoryPool, nowMs: number): MemorySandbox | null {
    const boots = [...pool.starting].map((id) => this.#deps.sandboxes.find(id, nowMs));
    return nearestBoot(boots, pool.specVersion, nowMs);
  }

  /** It goes on as the claim's cold start; the node that boots it learns so from the incarnation. */
  #takeOver(boot: MemorySandbox, pool: MemoryPool, request: ClaimRequest, nowMs: number): ClaimAnswer {
    pool.starting.delete(boot.id);
    boot.launch = 'cold';
    boot.incarnation += 1;
    this.#own(boot, pool, request, nowMs);
    this.#deps.announce(boot, null, null, nowMs);
    return { kind: 'starting', record: recordOf(boot, nowMs), repeated: false };
  }

  #own(sandbox: MemorySandbox, pool: MemoryPool, request: ClaimRequest, nowMs: number): void {
    const key = requestKey(request.tenant, request.requestId);
    this.#deps.sandboxes.own(sandbox, claimOf(request, key, nowMs));
    this.#deps.requests.remember(key, request.bodyHash, sandbox.id, nowMs);
    pool.queue.taken(key);
  }
}
