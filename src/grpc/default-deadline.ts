import { ServerInterceptingCall, type ServerInterceptor } from '@grpc/grpc-js';
import { WarmpoolError } from '../domain/errors.ts';
import type { Log } from '../observability/log.ts';
import { formatError } from './format-error.ts';

/**
 * Gives a deadline to unary calls whose client set none (A11): nothing is held for ever because someone forgot. It counts
 * from a call's headers, before its handler knows of it, so that a client that opens calls and never sends their message
 * is cut off, too. Streams are exempt; ExecStream limits how long it waits for its first message.
 */
export function defaultDeadline(deadlineMs: number, log: Log): ServerInterceptor {
  return (method, call) => {
    if (method.requestStream || method.responseStream || call.getDeadline() !== Infinity) {
      return new ServerInterceptingCall(call);
    }
    const timer = setTimeout(() => call.sendStatus(formatError(deadlinePassed(deadlineMs), log)), deadlineMs);
    // grpc-js tells the listener `onCancel` once at the end of every call, finished or not.
    return new ServerInterceptingCall(call, {
      start: (next) => next({ onCancel: () => clearTimeout(timer) }),
    });
  };
}

function deadlinePassed(deadlineMs: number): WarmpoolError {
  return new WarmpoolError(
    'DEADLINE_EXCEEDED',
    `not done within the ${deadlineMs / 1_000} s that a call without a deadline gets`,
  );
}
