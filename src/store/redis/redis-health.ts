import type { Clock } from '../../domain/clock.ts';
import { shardCount } from '../../domain/ids.ts';
import type { StoreHealth } from '../pool-store.ts';

/**
 * Whether the word of one server can be trusted, as the store's own commands see it. Healthy means: the server has been
 * identified on every connection that is used for it, all of them found the same one, and the last command that said
 * anything about it succeeded. A reconnect makes it unhealthy until the server's run id was read again, so that nobody
 * takes a new, empty server for the old one.
 */
export class RedisHealth {
  readonly #clock: Clock;
  /** What each connection found; empty: it has to ask. */
  readonly #found: string[];
  #healthy = false;
  #sinceMs: number;
  #runId = '';

  constructor(clock: Clock, connections: number) {
    this.#clock = clock;
    this.#found = Array.from({ length: connections }, () => '');
    this.#sinceMs = clock.monotonicMs();
  }

  get value(): StoreHealth {
    return { healthy: this.#healthy, sinceMs: this.#sinceMs, runId: this.#runId };
  }

  get #isIdentified(): boolean {
    return this.#found[0] !== '' && this.#found.every((runId) => runId === this.#found[0]);
  }

  identified(connection: number, runId: string): void {
    this.#found[connection] = runId;
    if (!this.#isIdentified) {
      this.#become(false);
      return;
    }
    // Another server, or the same one restarted: what was healthy before says nothing about it.
    if (runId !== this.#runId) this.#sinceMs = this.#clock.monotonicMs();
    this.#runId = runId;
    this.#become(true);
  }

  /** The connection may find another server now. */
  lost(connection: number): void {
    this.#found[connection] = '';
    this.#become(false);
  }

  succeeded(): void {
    if (!this.#healthy && this.#isIdentified) this.#become(true);
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

/**
 * The health of all servers of a store. One server (also one that sentinels name) has all shards; in a cluster every
 * shard counts for itself, because any of them may fail over, or be moved, alone.
 */
export class StoreHealths {
  readonly #parts: readonly RedisHealth[];

  constructor(clock: Clock, isCluster: boolean, connections: number) {
    this.#parts = Array.from(
      { length: isCluster ? shardCount : 1 },
      () => new RedisHealth(clock, connections),
    );
  }

  get count(): number {
    return this.#parts.length;
  }

  /** `null`: what belongs to no shard of a cluster says nothing about any. */
  ofShard(shard: number | null): RedisHealth | null {
    return this.#parts[this.#parts.length === 1 ? 0 : (shard ?? -1)] ?? null;
  }

  of(shard: number): StoreHealth {
    return (this.ofShard(shard) ?? this.#first).value;
  }

  /** Of all together: healthy while all are, since the last one became so; the run id changes with any of theirs. */
  get all(): StoreHealth {
    if (this.#parts.length === 1) return this.#first.value;
    const values = this.#parts.map(({ value }) => value);
    const healthy = values.every((value) => value.healthy);
    const relevant = values.filter((value) => value.healthy === healthy);
    return {
      healthy,
      sinceMs: Math.max(...relevant.map(({ sinceMs }) => sinceMs)),
      runId: values.map(({ runId }) => runId.slice(0, 8)).join('.'),
    };
  }

  get #first(): RedisHealth {
    const [first] = this.#parts;
    if (first === undefined) throw new Error('a store has at least one server');
    return first;
  }
}
