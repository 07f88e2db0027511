import type { ClientDuplexStream, ServiceError } from '@grpc/grpc-js';
import { Deferred } from '../deferred.ts';
import type { KeepAliveStreamRequest } from '../grpc/gen/warmpool/v1/KeepAliveStreamRequest.ts';
import type { KeepAliveStreamResponse__Output } from '../grpc/gen/warmpool/v1/KeepAliveStreamResponse.ts';
import { formatDuration } from '../grpc/wire/time.ts';
import { streamError } from './client-errors.ts';
import { durationMs } from './views.ts';

/**
 * Keeps many sandboxes alive over one stream. Answers come in any order and carry the sandbox's id; two renewals of one
 * sandbox under way at once are answered alike, first come first served.
 */
export class KeepAliveSession {
  readonly #call: ClientDuplexStream<KeepAliveStreamRequest, KeepAliveStreamResponse__Output>;
  readonly #waiting = new Map<string, Deferred<number>[]>();
  #ended: Error | null = null;

  constructor(
    call: ClientDuplexStream<KeepAliveStreamRequest, KeepAliveStreamResponse__Output>,
    errorOf: (error: ServiceError) => Error,
  ) {
    this.#call = call;
    call.on('data', (response: KeepAliveStreamResponse__Output) => this.#onResponse(response));
    call.on('error', (error: ServiceError) => this.#end(errorOf(error)));
    call.on('end', () => this.#end(new Error('the keepalive stream has ended')));
  }

  /** Resolves to the milliseconds left; rejects when this sandbox cannot be renewed or the stream is over. */
  renew(id: string, ttlMs?: number): Promise<number> {
    if (this.#ended) return Promise.reject(this.#ended);
    const answer = new Deferred<number>();
    const queue = this.#waiting.get(id);
    if (queue) queue.push(answer);
    else this.#waiting.set(id, [answer]);
    this.#call.write({ id, ...(ttlMs !== undefined && { ttl: formatDuration(ttlMs) }) });
    return answer.promise;
  }

  /** Renewals under way are still answered. */
  close(): void {
    this.#call.end();
  }

  #onResponse(response: KeepAliveStreamResponse__Output): void {
    const queue = this.#waiting.get(response.id);
    const answer = queue?.shift();
    if (queue?.length === 0) this.#waiting.delete(response.id);
    if (response.error) answer?.reject(streamError(response.error));
    else answer?.resolve(response.renewed?.remaining ? durationMs(response.renewed.remaining) : 0);
  }

  #end(error: Error): void {
    this.#ended ??= error;
    for (const queue of this.#waiting.values()) for (const answer of queue) answer.reject(error);
    this.#waiting.clear();
  }
}
