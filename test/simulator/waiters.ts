import type { ClaimAnswer, ClaimRequest, PoolSnapshot, WaitingClaim } from '../../src/store/pool-store.ts';

interface Waiter {
  readonly request: string;
  readonly tenant: string;
  /** By the true clock: the place is lost then, unless the claim asks again. */
  untilMs: number;
}

/**
 * Who waits for which pool, as told by the answers alone (I19): a claim that was told to wait has a place from then on, as
 * long as it asks again in time. A later one of its tenant may have a sandbox before it only while enough are left for
 * all those of the tenant that came earlier.
 */
export class Waiters {
  readonly #ofPool = new Map<string, Waiter[]>();
  readonly #known = new Set<string>();
  /** Of those who waited before a store was put back, that store may know an earlier place. */
  #mayBeEarlier: ReadonlySet<string> = new Set();

  /** Returns a sentence when the claim has passed somebody by. `pool` is how the claim has left it. */
  async answered(
    request: ClaimRequest,
    answer: ClaimAnswer,
    nowMs: number,
    pool: () => Promise<PoolSnapshot | null>,
  ): Promise<string | null> {
    const key = keyOf(request);
    const waiters = this.#placesOf(request.pool, nowMs);
    const place = waiters.findIndex((each) => each.request === key);
    if (answer.kind === 'waiting') {
      this.#known.add(key);
      const untilMs = nowMs + (request.wait?.leaseMs ?? 0);
      const known = waiters[place];
      if (known) known.untilMs = untilMs;
      else waiters.push({ request: key, tenant: request.tenant, untilMs });
      return null;
    }
    if (answer.kind !== 'claimed' && answer.kind !== 'starting') return null;
    const earlier = (place < 0 ? waiters : waiters.slice(0, place)).filter(
      ({ tenant }) => tenant === request.tenant,
    );
    if (place >= 0) waiters.splice(place, 1);
    // A cold start of its own takes nothing from anybody; a boot in flight that was taken over does.
    const isOwnStart = answer.kind === 'starting' && answer.record.incarnation === 1;
    if (answer.repeated || isOwnStart || earlier.length === 0 || this.#mayBeEarlier.has(key)) return null;
    const { ready = 0, starting = 0 } = (await pool()) ?? {};
    const left = answer.kind === 'claimed' ? ready : ready + starting;
    if (left >= earlier.length) return null;
    const [first] = earlier;
    return `${key} was served before ${first?.request}, which waits for ${request.pool} since earlier: ${left} left for ${earlier.length}`;
  }

  /** Somebody asks no more; the place is kept for a while when the same request may come twice. */
  stopped({ pool, keptMs, ...claim }: WaitingClaim, nowMs: number): void {
    const key = keyOf(claim);
    for (const waiter of this.#placesOf(pool, nowMs))
      if (waiter.request === key) waiter.untilMs = Math.min(waiter.untilMs, nowMs + keptMs);
  }

  /** The store's clock went on by so much at once: places are kept by it. */
  clockJumped(byMs: number): void {
    for (const waiters of this.#ofPool.values()) for (const waiter of waiters) waiter.untilMs -= byMs;
  }

  /** A store that was put back keeps the places that it knows of, and nobody else knows which. */
  storeLost(): void {
    this.#ofPool.clear();
    this.#mayBeEarlier = new Set(this.#known);
  }

  #placesOf(pool: string, nowMs: number): Waiter[] {
    const places = (this.#ofPool.get(pool) ?? []).filter(({ untilMs }) => untilMs > nowMs);
    this.#ofPool.set(pool, places);
    return places;
  }
}

function keyOf({ tenant, requestId }: { readonly tenant: string; readonly requestId: string }): string {
  return `${tenant} ${requestId}`;
}
