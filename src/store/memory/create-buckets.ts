import type { ClaimLimits } from '../pool-store.ts';

/** Creates per second of each tenant that has such a limit: a bucket that fills at that rate and holds a burst. */
export class CreateBuckets {
  readonly #buckets = new Map<string, { tokens: number; atMs: number }>();

  /** Takes one create; or says how many are used up and when there will be one. */
  take(
    tenant: string,
    limits: ClaimLimits,
    nowMs: number,
  ): { readonly current: number; readonly retryAfterMs: number } | null {
    const { createsPerSecond, createsBurst } = limits;
    if (createsPerSecond === null) return null;
    const known = this.#buckets.get(tenant) ?? { tokens: createsBurst, atMs: nowMs };
    const passedMs = Math.max(0, nowMs - known.atMs);
    const tokens = Math.min(createsBurst, known.tokens + (passedMs * createsPerSecond) / 1_000);
    if (tokens < 1) {
      const retryAfterMs = Math.max(1, Math.ceil(((1 - tokens) * 1_000) / createsPerSecond));
      return { current: Math.ceil(createsBurst - tokens), retryAfterMs };
    }
    this.#buckets.set(tenant, { tokens: tokens - 1, atMs: nowMs });
    return null;
  }
}
