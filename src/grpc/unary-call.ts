import type { handleUnaryCall, ServerUnaryCall, sendUnaryData } from '@grpc/grpc-js';
import type { Principal } from '../allocator/api.ts';
import type { Operation } from '../auth/operations.ts';
import { WarmpoolError } from '../domain/errors.ts';
import { admit, type Edge } from './edge.ts';
import { formatError } from './format-error.ts';

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
  /** What the signal's listeners are told; null while the call is wanted. */
  #givenUp: WarmpoolError | null = null;
  #answered = false;

  constructor(edge: Edge, call: ServerUnaryCall<Request, Response>, respond: sendUnaryData<Response>) {
    this.#edge = edge;
    this.#respond = respond;
    edge.calls.begin();
    // grpc-js says `cancelled` once at the end of every call, finished or not.
    call.on('cancelled', () => this.#over());
  }

  /** Made when it is asked for: it costs more than the rest of this class, and most calls do not look. */
  get signal(): AbortSignal {
    if (!this.#abort) {
      this.#abort = new AbortController();
      if (this.#givenUp) this.#abort.abort(this.#givenUp);
    }
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
    return true;
  }

  #over(): void {
    this.#edge.calls.end();
    if (!this.#answer()) return;
    // Unanswered: its deadline passed, the client cancelled, or the connection is gone.
    this.#givenUp = new WarmpoolError('CANCELLED', 'the call was cancelled, or its deadline passed');
    this.#abort?.abort(this.#givenUp);
  }
}
