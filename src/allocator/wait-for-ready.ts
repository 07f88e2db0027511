import type { Clock } from '../domain/clock.ts';
import { isWarmpoolError } from '../domain/errors.ts';
import type { ClaimAnswer, ClaimRequest, PoolStore, WaitTerms } from '../store/pool-store.ts';
import type { TransitionFeed } from '../store/transition-feed.ts';

export interface WaitDeps {
  readonly store: Pick<PoolStore, 'stopWaiting'>;
  readonly feed: Pick<TransitionFeed, 'listen'>;
  readonly clock: Clock;
}

/**
 * Waits for a claim's turn. The order is the store's, so that it holds between processes: this asks again once a second,
 * which keeps the claim's place and decides (D6), and sooner when as many sandboxes have become ready as are missing for
 * its turn. A process that dies asks no more, and its claims lose their places.
 *
 * Settles with the first answer that says something else than to wait, or with null when `waitMs` are over. However it ends,
 * the place is given up.
 */
export async function waitForReady(
  deps: WaitDeps,
  claim: ClaimRequest,
  first: Waiting,
  waitMs: number,
  ask: (again: ClaimRequest) => Promise<ClaimAnswer>,
  signal: AbortSignal,
): Promise<Exclude<ClaimAnswer, Waiting> | null> {
  const endMs = deps.clock.monotonicMs() + waitMs;
  let { readyNeeded } = first;
  try {
    for (;;) {
      const leftMs = endMs - deps.clock.monotonicMs();
      if (leftMs <= 0) return null;
      await readyNews(deps, claim.pool, readyNeeded, Math.min(leftMs, pollMs), signal);
      signal.throwIfAborted();
      const answer = await ask({ ...claim, waiting: true });
      if (answer.kind !== 'waiting') return answer;
      readyNeeded = answer.readyNeeded;
    }
  } finally {
    // One that was served has no place any more, and keeps what it was charged.
    await stopWaiting(deps.store, claim);
  }
}

type Waiting = Extract<ClaimAnswer, { kind: 'waiting' }>;

export function waitTerms(bounds: { readonly max: number; readonly perTenantMax: number }): WaitTerms {
  return { leaseMs: placeMs, poolMax: bounds.max, tenantMax: bounds.perTenantMax };
}

/** What cannot be said now, the store finds by itself: the place is not asked for any more. */
async function stopWaiting(store: WaitDeps['store'], claim: ClaimRequest): Promise<void> {
  // Only a request with an id of its client's can have come twice.
  const keptMs = claim.bodyHash === '' ? 0 : sharedPlaceMs;
  try {
    await store.stopWaiting({ ...claim, keptMs });
  } catch (error) {
    if (!isWarmpoolError(error)) throw error;
  }
}

/** Settles when so many sandboxes of the pool have become ready, when some may have been missed, after `waitMs`, or on abort. */
function readyNews(
  { feed, clock }: WaitDeps,
  pool: string,
  count: number,
  waitMs: number,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve) => {
    let heard = 0;
    const settle = () => {
      stopListening();
      cancelTimer();
      signal.removeEventListener('abort', settle);
      resolve();
    };
    const stopListening = feed.listen({
      heard: (event) => {
        if (event.pool !== pool || event.to !== 'ready') return;
        heard += 1;
        if (heard >= count) settle();
      },
      missed: settle,
    });
    const cancelTimer = clock.after(waitMs, settle);
    signal.addEventListener('abort', settle);
    if (signal.aborted) settle();
  });
}

/** D6: events only shorten the wait. */
const pollMs = 1_000;
/** Five looks: a process that is held up for a moment keeps the places of its claims. */
const placeMs = 5_000;
/** A second asking of the same request, which looks every second, takes the place over. */
const sharedPlaceMs = 2_000;
