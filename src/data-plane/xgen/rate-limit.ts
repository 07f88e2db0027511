import type { XgenCaller } from '../../auth/xgen-tokens.ts';
import type { Clock } from '../../domain/clock.ts';

/**
 * At most so many accepted requests of one client in any 60 s. Owns the times of the accepted ones, for clients that have
 * any in that window; those who stay away are forgotten.
 */
export class RateLimit {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #requestsMax: number;
  readonly #accepted = new Map<string, number[]>();
  #sweptMs = 0;

  /** `requestsMax` 0: no limit. */
  constructor(clock: Pick<Clock, 'monotonicMs'>, requestsMax: number) {
    this.#clock = clock;
    this.#requestsMax = requestsMax;
  }

  /** Counts the request; or says in how many milliseconds one more would be accepted. */
  enter(client: string): number | undefined {
    if (this.#requestsMax === 0) return undefined;
    const nowMs = this.#clock.monotonicMs();
    this.#sweep(nowMs);
    const times = (this.#accepted.get(client) ?? []).filter((time) => time > nowMs - windowMs);
    const oldest = times[0];
    if (oldest !== undefined && times.length >= this.#requestsMax) {
      this.#accepted.set(client, times);
      return Math.ceil(oldest + windowMs - nowMs);
    }
    times.push(nowMs);
    this.#accepted.set(client, times);
    return undefined;
  }

  #sweep(nowMs: number): void {
    if (nowMs - this.#sweptMs < windowMs) return;
    this.#sweptMs = nowMs;
    for (const [client, times] of this.#accepted) {
      if ((times.at(-1) ?? 0) <= nowMs - windowMs) this.#accepted.delete(client);
    }
  }
}

const windowMs = 60_000;

/** Whose requests are counted together; `address` where there are no keys to tell callers apart. */
export function xgenClientOf(caller: XgenCaller, address: string): string {
  return caller.subject === anybodySubject ? address : `caller ${caller.tenant} ${caller.subject}`;
}

/** The subject of every caller of a service without keys. */
export const anybodySubject = 'anybody';
