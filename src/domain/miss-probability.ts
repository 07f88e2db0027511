import { assertThat } from './errors.ts';

/**
 * How likely a claim finds a pool empty. A pool that is always filled up to a size, and replaces each sandbox as it is
 * handed out, is a queue in disguise: what is booting are its busy servers, and only the offered load counts (claims in
 * the time of one boot, in erlangs), not how boot times are spread. What a miss does decides which queue it is:
 *
 * - `lost`: a miss is turned away, and the boots in flight stay the pool's. This is Erlang's loss system, and the pool
 *   misses with probability B(size, load).
 * - `queued`: a miss is given the next boot that ends (the claim takes it over, or waits for it), and another is started in
 *   its stead. Then as many are booting as were claimed in the last boot time, which is Poisson, and the pool misses when
 *   those are `size` or more.
 *
 * Sources: A. K. Erlang, "Solution of some problems in the theory of probabilities of significance in automatic telephone
 * exchanges" (1917); G. J. Feeney and C. C. Sherbrooke, "The (s−1, s) inventory policy under compound Poisson demand",
 * Management Science 12 (1966), for both kinds of miss.
 */
export type MissModel = 'lost' | 'queued';

export function missProbability(model: MissModel, size: number, load: number): number {
  assertLoad(load);
  assertThat(Number.isSafeInteger(size) && size >= 0, 'a size is a whole number from 0');
  if (load === 0) return size === 0 ? 1 : 0;
  if (model === 'lost') return blockingUpTo(size, load)[size] ?? 0;
  const blocking = blockingUpTo(Math.max(size, tailEnd(load)), load);
  let miss = 0;
  for (let at = blocking.length - 1; at >= size; at -= 1) miss = oneMoreTerm(miss, blocking[at] ?? 0);
  return miss;
}

/** The smallest size that misses less often than `missMax`, or `sizeMax` when that is not enough. */
export function smallestSize(model: MissModel, load: number, missMax: number, sizeMax: number): number {
  assertLoad(load);
  assertThat(missMax > 0 && missMax <= 1, 'the bound of a probability is over 0 and at most 1');
  if (load === 0) return 0;
  if (model === 'lost') return smallestOfLossSystem(load, missMax, sizeMax);
  const blocking = blockingUpTo(tailEnd(load), load);
  let miss = 0;
  for (let size = blocking.length - 1; size >= 0; size -= 1) {
    miss = oneMoreTerm(miss, blocking[size] ?? 0);
    if (miss >= missMax) return Math.min(size + 1, sizeMax);
  }
  return 0;
}

function smallestOfLossSystem(load: number, missMax: number, sizeMax: number): number {
  let blocking = 1;
  let size = 0;
  while (blocking >= missMax && size < sizeMax) {
    size += 1;
    blocking = nextBlocking(blocking, size, load);
  }
  return size;
}

/** B(0, load) … B(size, load). */
function blockingUpTo(size: number, load: number): Float64Array {
  const blocking = new Float64Array(size + 1);
  blocking[0] = 1;
  for (let servers = 1; servers <= size; servers += 1) {
    blocking[servers] = nextBlocking(blocking[servers - 1] ?? 0, servers, load);
  }
  return blocking;
}

/**
 * Erlang's recurrence over the number of servers. Each step is a quotient of positive numbers below 1 + load, so nothing
 * overflows and rounding errors shrink; the textbook quotient of powers and factorials is not a number from 171 servers on.
 */
function nextBlocking(blocking: number, servers: number, load: number): number {
  return (load * blocking) / (servers + load * blocking);
}

/**
 * B(n, a) is the share of the Poisson terms up to n that the last one has: P(X = n) = B(n) · P(X ≤ n). So P(X ≥ n) follows
 * from P(X ≥ n + 1), without an exponential that would be 0 from a load of 746 on.
 */
function oneMoreTerm(tail: number, blocking: number): number {
  return tail + blocking * (1 - tail);
}

/** Ten standard deviations above the mean the rest of a Poisson distribution is below 1e-20; 50 does for small loads. */
function tailEnd(load: number): number {
  return Math.ceil(load + 10 * Math.sqrt(load)) + 50;
}

function assertLoad(load: number): void {
  assertThat(load >= 0 && load <= loadMax, 'an offered load is a number of erlangs from 0 to loadMax');
}

/** Twice the largest pool there may be: beyond it every answer is "more than that", and the loops stay short. */
export const loadMax = 200_000;
