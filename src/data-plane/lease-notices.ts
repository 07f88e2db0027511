import type { LeaseNotice } from '../../protocol/session-messages.ts';
import type { SessionLease } from '../allocator/api.ts';
import type { Clock } from '../domain/clock.ts';
import { expiryWarningMs } from '../domain/expiry-warning.ts';

/**
 * What one client is told of the lease (3.3): that it is about to run out, once, and that somebody extended it after
 * that. One timer, set anew at each change of the lease.
 */
export class LeaseNotices {
  readonly #clock: Clock;
  readonly #send: (notice: LeaseNotice) => void;
  readonly #lease: () => SessionLease;
  #isWarned = false;
  #cancel: () => void = () => {};

  constructor(deps: { clock: Clock; lease: () => SessionLease; send: (notice: LeaseNotice) => void }) {
    this.#clock = deps.clock;
    this.#lease = deps.lease;
    this.#send = deps.send;
    this.#arm();
  }

  changed(lease: SessionLease): void {
    if (this.#isWarned && lease.remainingMs > expiryWarningMs(lease.ttlMs)) {
      this.#isWarned = false;
      this.#send({ kind: 'renewed', lease });
    }
    this.#arm();
  }

  stop(): void {
    this.#cancel();
  }

  #arm(): void {
    this.#cancel();
    if (this.#isWarned) return;
    const { remainingMs, ttlMs } = this.#lease();
    const delayMs = Math.max(0, remainingMs - expiryWarningMs(ttlMs));
    this.#cancel = this.#clock.after(Math.min(delayMs, timerMsMax), () => this.#due());
  }

  #due(): void {
    const lease = this.#lease();
    if (lease.remainingMs <= expiryWarningMs(lease.ttlMs) + timerSlackMs) {
      this.#isWarned = true;
      this.#send({ kind: 'expiring', lease });
    } else this.#arm();
  }
}

/** Timers count in whole milliseconds, and may be early by one. */
const timerSlackMs = 2;
/** Node's timers take no more than 2^31 - 1; a lease lasts up to a week. */
const timerMsMax = 86_400_000;
