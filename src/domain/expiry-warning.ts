/** How long before its end a lease is said to be expiring: a fifth of its ttl, and no more than a minute. */
export function expiryWarningMs(ttlMs: number): number {
  return Math.min(60_000, ttlMs / 5);
}
