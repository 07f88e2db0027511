import type { Clock } from '../../domain/clock.ts';

/** A timer that comes this late has not measured the server: this process stood still itself. */
const stallMs = 50;
/** What was already answered meanwhile is read within this time after a stall. */
const graceMs = 200;
/** A process that stands still again and again is not waited for without end. */
const gracesMax = 20;

/**
 * What the command answers, or `timedOut()` when it has not after `timeoutMs`. Nothing is known then of what the server did.
 *
 * The deadline is of the server, not of us. After this process stood still (a long collection, a busy machine) the timers are
 * looked at before the sockets: an answer that has been there for a second would be reported as missing, and a sound
 * connection would be cut. So a deadline that is noticed late is given the time to read what has come in, and every other one
 * gives the sockets one turn. ioredis' own `commandTimeout` does neither.
 */
export function withinDeadline<Answer>(
  clock: Clock,
  timeoutMs: number,
  answer: Promise<Answer>,
  timedOut: () => Error,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let dueMs = clock.monotonicMs() + timeoutMs;
    let graces = 0;
    let settled = false;
    let cancel = () => {};
    const judge = () => {
      if (!settled) reject(timedOut());
    };
    const expire = () => {
      const nowMs = clock.monotonicMs();
      if (nowMs - dueMs > stallMs && graces < gracesMax) {
        graces += 1;
        dueMs = nowMs + graceMs;
        cancel = clock.after(graceMs, expire);
      } else {
        setImmediate(judge);
      }
    };
    cancel = clock.after(timeoutMs, expire);
    answer.then(
      (value) => {
        settled = true;
        cancel();
        resolve(value);
      },
      (error: unknown) => {
        settled = true;
        cancel();
        reject(error);
      },
    );
  });
}
