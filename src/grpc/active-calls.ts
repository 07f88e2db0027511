import { WarmpoolError } from '../domain/errors.ts';

/**
 * Counts the calls in progress, so that draining can wait for them and for nothing else (idle connections would keep
 * `tryShutdown` waiting for ever). States: open → draining; there is no way back.
 */
export class ActiveCalls {
  readonly #draining = new AbortController();
  #count = 0;
  #whenIdle: (() => void)[] = [];

  /** Aborts when draining begins: what would never end by itself (a watch) ends then. */
  get drainSignal(): AbortSignal {
    return this.#draining.signal;
  }

  get count(): number {
    return this.#count;
  }

  begin(): void {
    this.#count += 1;
  }

  end(): void {
    this.#count -= 1;
    if (this.#count > 0) return;
    const settle = this.#whenIdle;
    this.#whenIdle = [];
    for (const idle of settle) idle();
  }

  assertOpen(): void {
    if (this.#draining.signal.aborted) throw drainingError();
  }

  drain(): void {
    if (!this.#draining.signal.aborted) this.#draining.abort(drainingError());
  }

  idle(): Promise<void> {
    if (this.#count === 0) return Promise.resolve();
    return new Promise((resolve) => this.#whenIdle.push(resolve));
  }
}

export function drainingError(): WarmpoolError {
  return new WarmpoolError(
    'DRAINING',
    'the service is shutting down: try another one, or again in a moment',
    {
      retryAfterMs: 1_000,
    },
  );
}
