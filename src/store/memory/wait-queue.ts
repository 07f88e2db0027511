import type { WaitTerms } from '../pool-store.ts';
import { arrivalsPerRound } from '../store-limits.ts';

interface Waiter {
  readonly request: string;
  readonly tenant: string;
  /** Its tenant's limits are charged for it. */
  isCharged: boolean;
  turn: number;
  untilMs: number;
}

/** Where a claim stands: how many wait before it, and how many of those are of its tenant. */
export interface Standing {
  readonly ahead: number;
  readonly ownAhead: number;
}

/**
 * The claims that wait for one pool, in the order of their turns. A turn is a round and, within it, the order of arrival:
 * whoever comes takes the round after its tenant's last one, or after the one that is being served. So a tenant's claims
 * are served as they came, and each tenant has one turn in a round, whatever the number of its claims.
 *
 * A place is lost when its claim does not ask again in time; those behind it of its tenant each move up by one turn.
 */
export class WaitQueue {
  #waiters: Waiter[] = [];
  #round = 0;
  #arrivals = 0;

  get isEmpty(): boolean {
    return this.#waiters.length === 0;
  }

  count(nowMs: number): number {
    return this.#waiters.filter(({ untilMs }) => untilMs > nowMs).length;
  }

  /** Claims of a tenant that are charged to its limits, but for this one. */
  countCharged(tenant: string, butFor: string): number {
    return this.#waiters.filter(
      (waiter) => waiter.tenant === tenant && waiter.isCharged && waiter.request !== butFor,
    ).length;
  }

  has(request: string): boolean {
    return this.#waiters.some((waiter) => waiter.request === request);
  }

  /** For one that does not wait: at the end. */
  standing(request: string, tenant: string): Standing {
    const place = this.#waiters.findIndex((waiter) => waiter.request === request);
    const before = place < 0 ? this.#waiters : this.#waiters.slice(0, place);
    return { ahead: before.length, ownAhead: before.filter((waiter) => waiter.tenant === tenant).length };
  }

  /** Those who did not come back lose their places. */
  clear(nowMs: number): void {
    for (const { request } of this.#waiters.filter(({ untilMs }) => untilMs <= nowMs)) this.leave(request);
  }

  /** Keeps the place, or takes one. Says why there is none. */
  wait(
    claim: Readonly<Pick<Waiter, 'request' | 'tenant' | 'isCharged'>>,
    terms: WaitTerms,
    nowMs: number,
  ): 'queue_full' | 'tenant_queue_full' | null {
    const untilMs = nowMs + terms.leaseMs;
    const known = this.#waiters.find((waiter) => waiter.request === claim.request);
    if (known !== undefined) {
      Object.assign(known, { untilMs, isCharged: claim.isCharged });
      return null;
    }
    const own = this.#waiters.filter((waiter) => waiter.tenant === claim.tenant);
    if (this.#waiters.length >= terms.poolMax) return 'queue_full';
    if (own.length >= terms.tenantMax) return 'tenant_queue_full';
    this.#arrivals += 1;
    const round = Math.max(this.#round, roundOf(own.at(-1)?.turn ?? 0)) + 1;
    const turn = round * arrivalsPerRound + (this.#arrivals % arrivalsPerRound);
    this.#waiters.push({ ...claim, turn, untilMs });
    this.#sort();
    return null;
  }

  /** It has got one: its turn is over. */
  taken(request: string): void {
    const waiter = this.#waiters.find((each) => each.request === request);
    if (waiter === undefined) return;
    this.#round = Math.max(this.#round, roundOf(waiter.turn));
    this.#remove(waiter);
  }

  leave(request: string): void {
    const waiter = this.#waiters.find((each) => each.request === request);
    if (waiter === undefined) return;
    let { turn } = waiter;
    for (const later of this.#waiters) {
      if (later.tenant !== waiter.tenant || later.turn <= waiter.turn) continue;
      const own = later.turn;
      later.turn = turn;
      turn = own;
    }
    this.#remove(waiter);
    this.#sort();
  }

  /** Whoever had it asks no more; the same request may, once more, until then. */
  keepOnly(request: string, untilMs: number): void {
    const waiter = this.#waiters.find((each) => each.request === request);
    if (waiter !== undefined)
      Object.assign(waiter, { untilMs: Math.min(waiter.untilMs, untilMs), isCharged: false });
  }

  #remove(waiter: Waiter): void {
    this.#waiters = this.#waiters.filter((each) => each !== waiter);
    if (this.#waiters.length > 0) return;
    this.#round = 0;
    this.#arrivals = 0;
  }

  #sort(): void {
    this.#waiters.sort((a, b) => a.turn - b.turn);
  }
}

function roundOf(turn: number): number {
  return Math.floor(turn / arrivalsPerRound);
}
