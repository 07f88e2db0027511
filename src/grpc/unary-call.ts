import type { handleUnaryCall, ServerUnaryCall, sendUnaryData } from '@grpc/grpc-js';
import type { Principal } from '../allocator/api.ts';
import type { Operation } from '../auth/operations.ts';
import { WarmpoolError } from '../domain/errors.ts';
import { admit, type Edge } from './edge.ts';
import { formatError } from './format-error.ts';

/** A unary call whose client set no deadline gets this one (A11): nothing runs for ever because someone forgot. */
export const defaultDeadlineMs = 30_000;

export interface CallSignal {
  /** Aborts when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

/** Wraps one use of the allocator as a unary method: who calls, deadline, cancellation and errors are the same for all. */
export function unary<Request, Response>(
  edge: Edge,
  operation: Operation,
  use: (principal: Principal, request: Request, call: CallSignal) => Promise<Response>,
): handleUnaryCall<Request, Response> {
  return (call, respond) => {
    const running = new UnaryCall(edge, call, respond);
    let answer: Promise<Response>;
    try {
      answer = use(admit(edge, call.metadata, operation), call.request, running);
    } catch (error) {
      running.fail(error);
      return;
    }
    answer.then(
      (response) => running.succeed(response),
      (error: unknown) => running.fail(error),
    );
  };
}

/** One call on its way. It is answered once; what comes after that (a late result, an abort) changes nothing. */
class UnaryCall<Request, Response> implements CallSignal {
  readonly #edge: Edge;
  readonly #respond: sendUnaryData<Response>;
  #abort: AbortController | undefined;
  #timer: NodeJS.Timeout | undefined;
  #answered = false;

  constructor(edge: Edge, call: ServerUnaryCall<Request, Response>, respond: sendUnaryData<Response>) {
    this.#edge = edge;
    this.#respond = respond;
    edge.calls.begin();
    // grpc-js says `cancelled` once at the end of every call, finished or not.
    call.on('cancelled', () => this.#over());
    if (call.getDeadline() === Infinity) {
      this.#timer = setTimeout(() => this.#expire(), defaultDeadlineMs);
    }
  }

  /** Made when it is asked for: it costs more than the rest of this class, and most calls do not look. */
  get signal(): AbortSignal {
    this.#abort ??= new AbortController();
    return this.#abort.signal;
  }

  succeed(response: Response): void {
    if (this.#answer()) this.#respond(null, response);
  }

  fail(error: unknown): void {
    if (this.#answer()) this.#respond(formatError(error, this.#edge.log));
  }

  #answer(): boolean {
    if (this.#answered) return false;
    this.#answered = true;
    clearTimeout(this.#timer);
    return true;
  }

  #expire(): void {
    const error = new WarmpoolError(
      'DEADLINE_EXCEEDED',
      `not done within the ${defaultDeadlineMs / 1_000} s that a call without a deadline gets`,
    );
    this.fail(error);
    this.#abort?.abort(error);
  }

  #over(): void {
    this.#edge.calls.end();
    if (!this.#answer()) return;
    // Unanswered: the client's own deadline passed, it cancelled, or its connection is gone.
    this.#abort?.abort(new WarmpoolError('CANCELLED', 'the call was cancelled, or its deadline passed'));
  }
}
