import { createHash } from 'node:crypto';
import { type Clock, pause } from '../domain/clock.ts';
import { invalidRequest, isWarmpoolError, WarmpoolError } from '../domain/errors.ts';
import { newClaimId, newSandboxId, shardOfPool } from '../domain/ids.ts';
import { lifetimeWhileKeptMs } from '../domain/limits.ts';
import type { CatalogPool, PoolCatalog } from '../domain/pool-catalog.ts';
import { hasResources } from '../domain/pool-spec.ts';
import type { Customisation, SandboxRecord } from '../domain/sandbox.ts';
import { canonicalJson } from '../domain/spec-version.ts';
import { failpoint } from '../failpoints.ts';
import type { ClaimAnswer, ClaimLimits, ClaimRequest, EmptyReason, PoolStore } from '../store/pool-store.ts';
import type { TransitionFeed } from '../store/transition-feed.ts';
import type { Created, CreateRequest, Principal } from './api.ts';
import type { AllocatorObserver } from './observer.ts';
import type { Placement } from './placement.ts';
import { assertCreateRequest } from './validation.ts';
import { waitForReady, waitTerms } from './wait-for-ready.ts';

/**
 * Create: one atomic step in the store when a ready sandbox is there, and on a miss whatever the pool or the request
 * says: a cold start in the foreground, a bounded wait for the pool, or an error at once.
 *
 * Every create has a request id, the client's or one made up here, so a step whose answer was lost is repeated without
 * ever taking two sandboxes.
 */
export class SandboxCreator {
  readonly #deps: CreatorDeps;

  constructor(deps: CreatorDeps) {
    this.#deps = deps;
  }

  async create(
    principal: Principal,
    request: CreateRequest,
    signal: AbortSignal,
    claiming: (claimId: string) => void = () => {},
  ): Promise<Created> {
    assertCreateRequest(request);
    const pool = this.#deps.catalog.get(request.template);
    if (!pool) {
      throw new WarmpoolError('TEMPLATE_NOT_FOUND', `no template is named "${request.template}"`, {
        violations: [
          { field: 'template', description: 'is not a pool of this service; ListPools names them' },
        ],
        facts: { template: request.template },
      });
    }
    if (request.timeoutMs !== undefined && request.timeoutMs > pool.spec.lease.maxLifetimeMs) {
      const mostSeconds = pool.spec.lease.maxLifetimeMs / 1_000;
      throw invalidRequest([
        { field: 'timeout', description: `is over this pool's maxLifetime of ${mostSeconds} s` },
      ]);
    }
    const claim = this.#claimOf(principal, request, pool);
    const startedMs = this.#deps.clock.monotonicMs();
    let outcome: Parameters<AllocatorObserver['claimEnded']>[0] = 'failed';
    try {
      const obtaining = this.#obtain(claim, pool, request, signal);
      claiming(claim.claimId);
      const created = await obtaining;
      if (signal.aborted) throw await this.#abandoned(created.record, request, signal);
      outcome = created.record.launch;
      return created;
    } catch (error) {
      if (signal.aborted) outcome = 'cancelled';
      else if (isWarmpoolError(error) && error.code === 'NO_CAPACITY') outcome = 'no_capacity';
      else if (isWarmpoolError(error) && error.code === 'QUOTA_EXCEEDED') outcome = 'over_limit';
      throw error;
    } finally {
      this.#deps.observer.claimEnded(outcome, (this.#deps.clock.monotonicMs() - startedMs) / 1_000);
    }
  }

  async #obtain(
    claim: ClaimRequest,
    pool: CatalogPool,
    request: CreateRequest,
    signal: AbortSignal,
  ): Promise<Created> {
    const ask = async (asked: ClaimRequest) => {
      const answer = await this.#persist(() => this.#deps.store.claim(asked), signal);
      failpoint('claim');
      return answer;
    };
    let first = await ask(claim);
    if (first.kind === 'empty' && claim.cold === null && onMissOf(pool, request) === 'cold') {
      const nodeId = await this.#deps.placement.chooseSoon(pool.spec.name, signal);
      if (nodeId !== null) first = await ask({ ...claim, waiting: true, cold: coldOn(nodeId, pool) });
    }
    if (first.kind !== 'waiting') return this.#settle(first, pool, request, signal);
    this.#deps.observer.missed('no_ready');
    const waitMs = request.waitMs ?? waitMsDefault;
    const answer = await waitForReady(this.#deps, claim, first, waitMs, ask, signal).catch(
      (error: unknown) => {
        throw signal.aborted ? abortError(signal) : error;
      },
    );
    if (answer === null) throw noCapacity(pool, 'no_ready');
    return this.#settle(answer, pool, request, signal);
  }

  async #settle(
    answer: Exclude<ClaimAnswer, { kind: 'waiting' }>,
    pool: CatalogPool,
    request: CreateRequest,
    signal: AbortSignal,
  ): Promise<Created> {
    switch (answer.kind) {
      case 'claimed':
        return { record: answer.record, repeated: answer.repeated };
      case 'starting': {
        if (!answer.repeated)
          this.#deps.observer.missed(takesWarm(pool, request) ? 'no_ready' : 'not_as_asked');
        const record = await this.#awaitColdStart(answer.record, request, signal);
        return { record, repeated: answer.repeated };
      }
      case 'empty':
        this.#deps.observer.missed(answer.why);
        throw noCapacity(pool, answer.why);
      case 'over_limit':
        this.#deps.observer.missed('over_limit');
        throw quotaExceeded(answer);
      case 'request_id_reused':
        throw new WarmpoolError(
          'REQUEST_ID_REUSED',
          'this request id was used before with a different request',
          {
            violations: [{ field: 'request_id', description: 'was used with another body; use a new one' }],
          },
        );
      case 'no_pool':
        throw noCapacity(pool, 'no_ready');
    }
  }

  #claimOf(principal: Principal, request: CreateRequest, pool: CatalogPool): ClaimRequest {
    const { spec } = pool;
    const customisation: Customisation = {
      env: request.env,
      metadata: request.metadata,
      ...(request.user !== undefined && { user: request.user }),
      ...(request.cwd !== undefined && { cwd: request.cwd }),
      ...(!takesWarm(pool, request) && request.resources && { resources: request.resources }),
    };
    const onMiss = onMissOf(pool, request);
    const limits = this.#deps.limitsOf?.(principal.tenant) ?? null;
    const nodeId = onMiss === 'cold' ? this.#deps.placement.choose(spec.name) : null;
    return {
      pool: spec.name,
      tenant: principal.tenant,
      requestId: request.requestId ?? `made-${newClaimId()}`,
      bodyHash: request.requestId === undefined ? '' : hashOf(request),
      claimId: newClaimId(),
      leaseTtlMs: request.timeoutMs ?? spec.lease.ttlMs,
      maxLifetimeMs:
        request.livesWhileKept && spec.lease.maxLifetimeIsDefault
          ? lifetimeWhileKeptMs
          : spec.lease.maxLifetimeMs,
      onExpiry: spec.lease.onExpiry,
      customisation,
      warm: takesWarm(pool, request),
      ...(onMiss === 'wait' && { wait: waitTerms(spec.waiting) }),
      ...(limits && { limits }),
      cold: nodeId === null ? null : coldOn(nodeId, pool),
    };
  }

  /** Repeats a step whose outcome is unknown: the request id makes that safe, whoever the first answer was lost to. */
  async #persist<T>(step: () => Promise<T>, signal: AbortSignal): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await step();
      } catch (error) {
        const isUnknown = isWarmpoolError(error) && error.code === 'STORE_UNAVAILABLE';
        if (!isUnknown || attempt === storeAttemptsMax || signal.aborted) throw error;
        await pause(this.#deps.clock, storeRetryMs * attempt, signal);
      }
    }
  }

  /**
   * The caller left before the answer. Nobody can ever ask for a sandbox whose request id was made up here, so it is
   * stopped; with the caller's own id a retry will find it.
   */
  async #abandoned(
    record: SandboxRecord,
    request: CreateRequest,
    signal: AbortSignal,
  ): Promise<WarmpoolError> {
    const { id, claim } = record;
    if (request.requestId === undefined && claim) {
      // Only as its owner: a store that was put back may have learnt by now that it is somebody else's.
      await this.#deps.store.beginStop({ id, tenant: claim.tenant }, 'deleted').catch(() => {});
    }
    return abortError(signal);
  }

  /** Until the boot is reported, one way or the other, or the caller has gone away. */
  async #awaitColdStart(
    reserved: SandboxRecord,
    request: CreateRequest,
    signal: AbortSignal,
  ): Promise<SandboxRecord> {
    const { store, feed, startCold } = this.#deps;
    let record: SandboxRecord | null = reserved;
    const local = startCold(reserved)?.catch(() => null);
    while (record?.state === 'starting' && !signal.aborted) {
      const booted: SandboxRecord | null = local
        ? await Promise.race([local, aborted(signal)])
        : await feed.news(reserved.id, pollMs, signal).then(() => null);
      // A node that has it up from before tells how that boot ended, which is not about this claim.
      if (booted && isSameClaim(booted, reserved)) return booted;
      record = await this.#persist(() => store.get(reserved.id, null), signal);
      if (record && !isSameClaim(record, reserved)) throw claimConflict(reserved.id);
      // The local boot has ended but the record does not show it yet: the store was away; look again in a moment.
      if (local && record?.state === 'starting') await feed.news(reserved.id, pollMs, signal);
    }
    if (record?.state === 'running') return record;
    if (signal.aborted && record?.state === 'starting') throw await this.#abandoned(record, request, signal);
    if (record?.endReason === 'node_lost') this.#deps.observer.missed('node_lost');
    throw bootError(reserved.id, record);
  }
}

export interface CreatorDeps {
  readonly store: PoolStore;
  readonly catalog: PoolCatalog;
  readonly feed: TransitionFeed;
  readonly placement: Placement;
  readonly clock: Clock;
  readonly observer: AllocatorObserver;
  /** null: this tenant has none. Absent: nobody has any. */
  readonly limitsOf?: (tenant: string) => ClaimLimits | null;
  /** Boots in this process when the record's node is here; null when it is elsewhere. */
  readonly startCold: (record: SandboxRecord) => Promise<SandboxRecord | null> | null;
}

function coldOn(nodeId: string, { spec }: CatalogPool): NonNullable<ClaimRequest['cold']> {
  return {
    id: newSandboxId(shardOfPool(spec.name)),
    nodeId,
    bootTimeoutMs: spec.template.bootTimeoutMs + coldQueueMs,
  };
}

/** Whether a sandbox that is ready has what is asked for. */
function takesWarm({ spec }: CatalogPool, { resources }: CreateRequest): boolean {
  return resources === undefined || hasResources(spec.template, resources);
}

function onMissOf(pool: CatalogPool, request: CreateRequest) {
  // There is nothing that it could wait for.
  if (!takesWarm(pool, request)) return 'cold';
  return request.onMiss ?? (request.waitMs !== undefined ? 'wait' : pool.spec.size.onMiss);
}

function hashOf(request: CreateRequest): string {
  const { requestId: _, ...body } = request;
  const defined = Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined));
  return createHash('sha256').update(canonicalJson(defined)).digest('base64url');
}

function isSameClaim(a: SandboxRecord, b: SandboxRecord): boolean {
  return a.claim?.claimId === b.claim?.claimId;
}

/** The store had given out what is another claim's, and has forgotten that it did (D9): nothing is told of that one. */
function claimConflict(sandboxId: string): WarmpoolError {
  return new WarmpoolError(
    'CLAIM_CONFLICT',
    `sandbox ${sandboxId} belongs to another claim: the store gave it out twice; repeat the same request`,
    { retryAfterMs: retryAfterEmptyMs, facts: { sandbox: sandboxId } },
  );
}

/** A missing image is not there in a moment either: no time to try again is told. */
function bootError(sandboxId: string, record: SandboxRecord | null): WarmpoolError {
  const failure = record?.failure ?? 'the sandbox was deleted while it was booting';
  const facts = { sandbox: sandboxId };
  if (record?.endReason === 'image_missing') return new WarmpoolError('IMAGE_MISSING', failure, { facts });
  // The same request goes to another node next time.
  if (record?.endReason === 'node_lost')
    return new WarmpoolError('NODE_UNREACHABLE', failure, { retryAfterMs: retryAfterBootMs, facts });
  const code = record?.endReason === 'runtime_unavailable' ? 'RUNTIME_UNAVAILABLE' : 'BOOT_FAILED';
  return new WarmpoolError(code, failure, { retryAfterMs: retryAfterBootMs, facts });
}

function noCapacity({ spec: { name, size, waiting } }: CatalogPool, why: EmptyReason): WarmpoolError {
  const sentences: Readonly<Record<EmptyReason, string>> = {
    no_ready: `pool "${name}" has no ready sandbox`,
    max_total: `pool "${name}" has reached its maxTotal of ${size.maxTotal} sandboxes`,
    queue_full: `as many creates wait for pool "${name}" as may (${waiting.max})`,
    tenant_queue_full: `as many creates of one tenant wait for pool "${name}" as may (${waiting.perTenantMax})`,
  };
  return new WarmpoolError('NO_CAPACITY', sentences[why], {
    retryAfterMs: retryAfterEmptyMs,
    facts: { pool: name, why },
  });
}

function quotaExceeded(answer: Extract<ClaimAnswer, { kind: 'over_limit' }>): WarmpoolError {
  const { limit, max, current, retryAfterMs } = answer;
  const sentence =
    limit === 'running'
      ? `this tenant may have ${max} sandboxes at the same time, and has ${current}`
      : `this tenant may make ${max} creates per second, and has made more`;
  return new WarmpoolError('QUOTA_EXCEEDED', sentence, {
    ...(retryAfterMs !== null && { retryAfterMs }),
    facts: { quota: limit, limit: String(max), current: String(current) },
  });
}

export function abortError(signal: AbortSignal): WarmpoolError {
  if (isWarmpoolError(signal.reason)) return signal.reason;
  return new WarmpoolError('CANCELLED', 'the call was given up by its caller', {}, { cause: signal.reason });
}

function aborted(signal: AbortSignal): Promise<null> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(null), { once: true }));
}

/** A cold start may have to wait for its turn at the node; the reaper ends it only after this much more. */
const coldQueueMs = 30_000;
const storeAttemptsMax = 3;
const storeRetryMs = 100;
/** D6: events only shorten the wait. */
const pollMs = 1_000;
const waitMsDefault = 30_000;
const retryAfterEmptyMs = 1_000;
const retryAfterBootMs = 1_000;
