import { WarmpoolError } from '../../domain/errors.ts';

/** How long a caller should wait before it repeats: reconnecting starts at 50 ms and doubles. */
const retryAfterMs = 500;

/** Answers of a server that is there but cannot do the step now. The code is the first word of a Redis error. */
const unavailableCodes: ReadonlySet<string> = new Set([
  'LOADING',
  'READONLY',
  'MASTERDOWN',
  'CLUSTERDOWN',
  'TRYAGAIN',
  'MOVED',
  'ASK',
  'OOM',
  'MISCONF',
  'NOREPLICAS',
  'BUSY',
  'NOAUTH',
  'WRONGPASS',
  'NOPERM',
]);

/**
 * The one place where the failures of ioredis get a meaning. ioredis gives its own failures (connection cut, timed
 * out, not connected) as plain errors, the server's as ReplyError. Of a failure that is not the server's word nothing
 * is known about the outcome; the verbs are safe to repeat.
 */
export function classifyRedisError(error: unknown): WarmpoolError {
  if (error instanceof WarmpoolError) return error;
  const code = replyCode(error);
  if (code === null || unavailableCodes.has(code)) {
    const why = code === null ? 'Redis does not answer' : `Redis cannot serve now (${code})`;
    const facts = code === null ? {} : { facts: { redis: code } };
    return new WarmpoolError(
      'STORE_UNAVAILABLE',
      `the store is unavailable: ${why}`,
      { retryAfterMs, ...facts },
      { cause: error },
    );
  }
  return new WarmpoolError(
    'INTERNAL',
    `Redis refused a step of the store (${code})`,
    { facts: { redis: code } },
    { cause: error },
  );
}

/** The code of an error that the server sent, or null when it is not one. */
export function replyCode(error: unknown): string | null {
  if (!(error instanceof Error) || error.name !== 'ReplyError') return null;
  if (/max number of clients/.test(error.message)) return 'BUSY';
  return /^[A-Z]+/.exec(error.message)?.[0] ?? 'ERR';
}

const timedOut = 'Command timed out';

/** For a command that was not answered in time: nothing is known of what became of it. */
export function commandTimedOut(): Error {
  return new Error(timedOut);
}

export function isCommandTimeout(error: unknown): boolean {
  return error instanceof Error && error.message === timedOut;
}
