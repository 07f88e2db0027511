import type { Readable } from 'node:stream';
import type { ServerDuplexStream, ServerWritableStream } from '@grpc/grpc-js';
import type { Principal } from '../allocator/api.ts';
import type { Operation } from '../auth/operations.ts';
import { WarmpoolError } from '../domain/errors.ts';
import { admit, type Edge } from './edge.ts';
import { formatError } from './format-error.ts';

type ServerStream<Request, Response> =
  | ServerDuplexStream<Request, Response>
  | ServerWritableStream<Request, Response>;

/**
 * What the streaming methods share: who calls, an abort signal, bounded writing, and ending exactly once with a status.
 * There is no default deadline; a client's own is kept by grpc-js and arrives here as a cancellation.
 */
export class StreamingCall<Request, Response> {
  readonly principal: Principal;
  readonly #edge: Edge;
  readonly #call: ServerStream<Request, Response>;
  readonly #abort = new AbortController();
  #ended = false;

  private constructor(edge: Edge, call: ServerStream<Request, Response>, principal: Principal) {
    this.#edge = edge;
    this.#call = call;
    this.principal = principal;
    edge.calls.begin();
    call.on('cancelled', () => this.#over());
  }

  /** null when the call was refused; it has been answered then. */
  static admit<Request, Response>(
    edge: Edge,
    call: ServerStream<Request, Response>,
    operation: Operation,
  ): StreamingCall<Request, Response> | null {
    try {
      return new StreamingCall(edge, call, admit(edge, call.metadata, operation));
    } catch (error) {
      call.emit('error', formatError(error, edge.log));
      return null;
    }
  }

  /** Aborts when the call is over before `end` or `fail` was called, and by `fail`. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /**
   * Settles when the transport has taken the message, which waits for the client to read, or when the call is over. What
   * is written after the end is dropped: it would destroy the stream before its status is out.
   */
  write(message: Response): Promise<void> {
    if (this.#ended) return Promise.resolve();
    return new Promise((resolve) => this.#call.write(message, () => resolve()));
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#call.end();
  }

  fail(error: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#call.emit('error', formatError(error, this.#edge.log));
    this.#abort.abort(error);
  }

  #over(): void {
    this.#edge.calls.end();
    if (this.#ended) return;
    this.#ended = true;
    this.#abort.abort(new WarmpoolError('CANCELLED', 'the call was cancelled, or its deadline passed'));
  }
}

/**
 * Calls `listener` when the client has half-closed. A call that is cancelled ends its stream as well, and may say so
 * first; so an end counts only if the call is still alive one turn of the event loop later. Even then it is no proof:
 * clients of Node half-close what they cancel, and the two may arrive apart. What must not be cut off says itself that it
 * is whole.
 */
export function onHalfClose(call: Readable & { readonly cancelled: boolean }, listener: () => void): void {
  call.on('end', () =>
    setImmediate(() => {
      if (!call.cancelled) listener();
    }),
  );
}

/**
 * grpc-js reads up to 16 messages ahead of a paused stream; at 4 MiB a message that is 64 MiB of somebody's choosing for
 * each stream (A11). One is enough to keep a stream busy. There is no public setter for it.
 */
export function readOneAhead(call: object): void {
  const { _readableState: state } = call as { _readableState?: { highWaterMark?: unknown } };
  if (state && typeof state.highWaterMark === 'number') state.highWaterMark = 1;
}
