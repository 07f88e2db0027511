import type { Clock } from '../domain/clock.ts';

/**
 * How fast one pool may start sandboxes. Three brakes, each against one way a refill goes wrong:
 * a token bucket bounds the rate (a refill storm must not starve claims); slow start allows one more in flight for each
 * boot that succeeds, so that batches double (1, 2, 4 …: a broken template costs one boot, not a batch); a breaker closes
 * the pool after three failures in a row for 1 s, 2 s, 4 s, then 6.5 s, each with up to 50 % jitter (failing boots must not
 * repeat for ever, and nodes that failed together must not come back together).
 */
export class StartBudget {
  readonly #clock: Clock;
  readonly #random: () => number;
  #tokens = tokensMax;
  #filledAtMs: number;
  #allowance = 1;
  #failuresInRow = 0;
  #closedUntilMs = 0;

  constructor(deps: { clock: Clock; random?: () => number }) {
    this.#clock = deps.clock;
    this.#random = deps.random ?? Math.random;
    this.#filledAtMs = deps.clock.monotonicMs();
  }

  /** 0 when one more may start beside `inFlight` others, and the token is taken; else how long to wait. */
  take(inFlight: number): number {
    const nowMs = this.#clock.monotonicMs();
    this.#fill(nowMs);
    if (nowMs < this.#closedUntilMs) return this.#closedUntilMs - nowMs;
    if (inFlight >= this.#allowance) return waitForOneMs;
    if (this.#tokens < 1) return ((1 - this.#tokens) / tokensPerSecond) * 1_000;
    this.#tokens -= 1;
    return 0;
  }

  succeeded(): void {
    this.#failuresInRow = 0;
    this.#allowance = Math.min(this.#allowance + 1, allowanceMax);
  }

  failed(): void {
    this.#failuresInRow += 1;
    this.#allowance = 1;
    this.#tokens = Math.max(this.#tokens - tokensPerFailure, -tokensMax);
    if (this.#failuresInRow < failuresUntilClosed) return;
    const backOffMs = Math.min(1_000 * 2 ** (this.#failuresInRow - failuresUntilClosed), backOffMsMax);
    this.#closedUntilMs = this.#clock.monotonicMs() + backOffMs * (1 + this.#random() / 2);
  }

  /** Milliseconds until the breaker lets a start through again; 0 when it is open for starts. */
  get closedForMs(): number {
    return Math.max(0, this.#closedUntilMs - this.#clock.monotonicMs());
  }

  #fill(nowMs: number): void {
    const earned = ((nowMs - this.#filledAtMs) / 1_000) * tokensPerSecond;
    this.#tokens = Math.min(this.#tokens + earned, tokensMax);
    this.#filledAtMs = nowMs;
  }
}

/** Two cores boot some hundred bubblewrap sandboxes a second; half of that leaves the other half to claims. */
const tokensPerSecond = 50;
/** One full refill of a default pool (maxReady 64) may go without waiting for tokens. */
const tokensMax = 64;
const tokensPerFailure = 4;
const failuresUntilClosed = 3;
/** With the jitter below 10 s: a pool is tried again that soon after whatever broke its boots was mended. */
const backOffMsMax = 6_500;
/** Above this the store's startsInFlightMax is what limits. */
const allowanceMax = 64;
/** In-flight boots wake the replenisher when they end; this is only the fallback. */
const waitForOneMs = 1_000;
