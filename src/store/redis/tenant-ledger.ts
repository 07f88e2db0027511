import type { Clock } from '../../domain/clock.ts';
import { isWarmpoolError } from '../../domain/errors.ts';
import type { ClaimAnswer, ClaimLimits, ClaimRequest } from '../pool-store.ts';
import type { ScriptAnswer } from './answers.ts';
import { keysOfTenant, shards } from './keys.ts';
import type { FlatHash } from './record-codec.ts';
import type { RedisConnection } from './redis-connection.ts';
import { scriptStatus } from './script-status.ts';
import { scripts } from './scripts.ts';

export type OverLimit = Extract<ClaimAnswer, { kind: 'over_limit' }>;

/**
 * What tenants with limits have in use. A tenant's sandboxes are in all shards and its limits in one place, so no script
 * sees both. Therefore a claim first takes a hold in its tenant's name (D2), and whoever sends the sandbox on its way out
 * gives it back. A process may die between any two of these steps:
 *
 * - before the claim: the hold is of nothing. It is dropped once it is `holdAgeMs` old, by the next create that it would
 *   refuse, or by the healer. Until then the tenant has less than its limit, never more.
 * - between the end of a sandbox and giving back: the same.
 * - a store that was put back may have lost holds of what runs: the healer adds them, and so does a process that meets the
 *   tenant for the first time.
 *
 * The record of a sandbox says whether a hold belongs to it, so that nothing is looked up for anybody else's.
 *
 * Turned down: holds that expire by themselves. One would have to be renewed for as long as the sandbox lives, or could
 * expire while it does.
 */
export class TenantLedger {
  readonly #connections: LedgerConnections;
  readonly #clock: Clock;
  /** When each tenant's holds were last put right by this process. Also who has limits: the healer goes through them. */
  readonly #settledAtMs = new Map<string, number>();
  /** Tenants that are met for the first time just now. Whoever comes meanwhile waits as well: nothing is counted yet. */
  readonly #meetings = new Map<string, Promise<void>>();

  constructor(connections: LedgerConnections, clock: Clock) {
    this.#connections = connections;
    this.#clock = clock;
  }

  /** null: there is room, and it is charged. */
  async charge(request: ClaimRequest, limits: ClaimLimits): Promise<OverLimit | null> {
    const { tenant } = request;
    // It may have had sandboxes before it had limits.
    if (limits.maxRunning !== null) await this.#meet(tenant);
    const refusal = await this.#charge(request, limits);
    if (refusal?.limit !== 'running') return refusal;
    // Perhaps one of the holds is of nobody.
    const changed = await this.#settle(tenant, settleIntervalMs);
    return changed === 0 ? refusal : this.#charge(request, limits);
  }

  /** Nothing came of the claim, or its sandbox is on its way out. What fails here is put right later. */
  async giveBack(
    claim: Pick<ClaimRequest, 'tenant' | 'claimId'>,
    limits: Pick<ClaimLimits, 'maxRunning'>,
  ): Promise<void> {
    if (limits.maxRunning !== null) await this.#drop(claim.tenant, claim.claimId);
  }

  /** Looks at what a step has answered: when the sandbox is on its way out, its hold is given back. */
  async afterEnding(answer: ScriptAnswer): Promise<void> {
    const [status, , about] = answer;
    if (status !== scriptStatus.DONE || !Array.isArray(about)) return;
    const fields = about as FlatHash;
    const field = (name: string) => {
      for (let at = 0; at < fields.length; at += 2) if (fields[at] === name) return fields[at + 1];
      return undefined;
    };
    if (field('held') === undefined || !endings.has(field('state') ?? '')) return;
    await this.#drop(field('tenant') ?? '', field('claim') ?? '');
  }

  /** Of all tenants with limits that this process has met. Answers how many holds were wrong. */
  async heal(): Promise<number> {
    let changed = 0;
    for (const tenant of [...this.#settledAtMs.keys()]) changed += await this.#settle(tenant, 0);
    return changed;
  }

  async #meet(tenant: string): Promise<void> {
    let meeting = this.#meetings.get(tenant);
    if (meeting === undefined) {
      if (this.#settledAtMs.has(tenant)) return;
      meeting = this.#settle(tenant, 0).then(() => {});
      this.#meetings.set(tenant, meeting);
    }
    try {
      await meeting;
    } catch (error) {
      // The next one meets the tenant for the first time again.
      this.#settledAtMs.delete(tenant);
      throw error;
    } finally {
      this.#meetings.delete(tenant);
    }
  }

  async #charge(request: ClaimRequest, limits: ClaimLimits): Promise<OverLimit | null> {
    const { tenant, claimId, waiting, maxLifetimeMs, cold } = request;
    const { maxRunning, createsPerSecond, createsBurst } = limits;
    const { holds, bucket } = keysOfTenant(tenant);
    const answer = (await this.#connections.claims.run(
      scripts.chargeTenant,
      holds,
      bucket,
      claimId,
      maxRunning ?? '',
      createsPerSecond ?? '',
      createsBurst,
      waiting ? 1 : 0,
      maxLifetimeMs + (cold?.bootTimeoutMs ?? 0) + keptLongerMs,
    )) as ScriptAnswer;
    if (answer[0] === scriptStatus.DONE) return null;
    const [, , limit, current, retryAfterMs] = answer as ChargeRefusal;
    return {
      kind: 'over_limit',
      limit,
      max: (limit === 'running' ? maxRunning : createsPerSecond) ?? 0,
      current,
      retryAfterMs: retryAfterMs === '' ? null : retryAfterMs,
    };
  }

  async #drop(tenant: string, claimId: string): Promise<void> {
    const { holds } = keysOfTenant(tenant);
    try {
      await this.#connections.claims.plain(holds, (client) => client.zrem(holds, claimId));
    } catch (error) {
      if (!isWarmpoolError(error)) throw error;
    }
  }

  async #settle(tenant: string, atMostEveryMs: number): Promise<number> {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - (this.#settledAtMs.get(tenant) ?? Number.NEGATIVE_INFINITY) < atMostEveryMs) return 0;
    if (this.#settledAtMs.size >= tenantsKeptMax) this.#settledAtMs.clear();
    this.#settledAtMs.set(tenant, nowMs);
    const { background } = this.#connections;
    const running = await Promise.all(
      shards.map(async ({ prefix, sandboxPrefix }) => {
        const answer = await background.run(scripts.listHeld, `${prefix}owned:${tenant}`, sandboxPrefix);
        return (answer as readonly [number, ...string[]]).slice(1);
      }),
    );
    const { holds } = keysOfTenant(tenant);
    const answer = await background.run(scripts.settleHolds, holds, holdAgeMs, ...running.flat());
    return Number((answer as ScriptAnswer)[2]);
  }
}

export interface LedgerConnections {
  readonly claims: RedisConnection;
  readonly background: RedisConnection;
}

type ChargeRefusal = readonly [
  status: number,
  nowMs: number,
  limit: OverLimit['limit'],
  current: number,
  retryAfterMs: number | '',
];

const endings: ReadonlySet<string> = new Set(['stopping', 'stopped', 'failed']);
/** Longer than a claim takes with all its repeats, or a waiting one takes to come again. */
const holdAgeMs = 30_000;
/** A tenant at its limit asks all shards no more often than this. */
const settleIntervalMs = 5_000;
/** Holds that nobody has touched for longer than a sandbox may live are of nobody. */
const keptLongerMs = 3_600_000;
/** As many tenants as have limits, and a bound on what names can do. */
const tenantsKeptMax = 10_000;
