import type { Clock } from '../../domain/clock.ts';
import type { StoreHealth } from '../pool-store.ts';

/**
 * Whether the store's word can be trusted, as its own commands see it. Healthy means: the server that answers has been
 * identified, and the last command that said anything about it succeeded. A reconnect makes it unhealthy until the
 * server's run id was read again, so that nobody takes a new, empty server for the old one.
 */
export class RedisHealth {
  readonly #clock: Clock;
  #healthy = false;
  #sinceMs: number;
  #runId = '';
  #identified = false;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#sinceMs = clock.monotonicMs();
  }

  get value(): StoreHealth {
    return { healthy: this.#healthy, sinceMs: this.#sinceMs, runId: this.#runId };
  }

  identified(runId: string): void {
    // Another server, or the same one restarted: what was healthy before says nothing about it.
    if (runId !== this.#runId) this.#sinceMs = this.#clock.monotonicMs();
    this.#runId = runId;
    this.#identified = true;
    this.succeeded();
  }

  disconnected(): void {
    this.#identified = false;
    this.#become(false);
  }

  succeeded(): void {
    if (!this.#healthy && this.#identified) this.#become(true);
  }

  failed(): void {
    this.#become(false);
  }

  #become(healthy: boolean): void {
    if (this.#healthy === healthy) return;
    this.#healthy = healthy;
    this.#sinceMs = this.#clock.monotonicMs();
  }
}
