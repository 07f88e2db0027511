import { Cluster, type Redis } from 'ioredis';
import { type Clock, pause } from '../../domain/clock.ts';
import { assertThat } from '../../domain/errors.ts';
import { addressOf, ownerOfShard } from './cluster-owners.ts';
import { shardKeys } from './keys.ts';
import type { RedisConnection } from './redis-connection.ts';
import type { StoreHealths } from './redis-health.ts';
import { scripts } from './scripts.ts';

/** Between attempts while a server does not say who it is. A new master is known at most so much later than it is there. */
const retryMs = 250;

export interface ServerWatchDeps {
  readonly clock: Clock;
  readonly connection: RedisConnection;
  readonly healths: StoreHealths;
}

/**
 * Knows, for one connection, which run of which server has each shard (D13). A part (the one server, or in a cluster one
 * shard) is in one of two states: known, or asked about again and again until it is.
 *
 * A part becomes unknown when the connection to its server is lost; and, in a cluster, when an answer shows that its slot
 * has another owner now, which ioredis finds out and follows by itself without a word. That is looked at before the
 * answer is believed, so nobody acts on what a new and perhaps older server says of a shard as if the old one had said it.
 *
 * Turned down: asking for the run id with every command. It would cost every claim, and say the same each time.
 */
export class ServerWatch {
  readonly #deps: ServerWatchDeps;
  /** Which of the store's connections this is, for the health. */
  readonly #index: number;
  /** The address that each part was identified at; null: it is being asked about. */
  readonly #owners: (string | null)[];
  readonly #asking = new Set<number>();
  readonly #stop = new AbortController();

  constructor(deps: ServerWatchDeps, index: number) {
    this.#deps = deps;
    this.#index = index;
    this.#owners = Array.from({ length: deps.healths.count }, () => null);
  }

  /** Settles when all parts are known; throws what the server said when one does not tell. */
  async identifyAll(): Promise<void> {
    const known = await Promise.all(this.#owners.map((_, part) => this.#identify(part)));
    assertThat(known.every(Boolean), 'no shard moved while its server was asked');
  }

  start(): void {
    const { client } = this.#deps.connection;
    if (client instanceof Cluster) {
      this.#deps.connection.onAnswer((shard) => this.#compare(client, shard));
      // What nobody asks for moves as well.
      client.on('refresh', () => {
        for (const part of this.#owners.keys()) this.#compare(client, part);
      });
      for (const node of client.nodes('all')) this.#follow(node);
      client.on('+node', (node: Redis) => this.#follow(node));
    } else {
      client.on('close', () => this.#lose(0));
      client.on('ready', () => void this.#ask(0));
    }
  }

  stop(): void {
    this.#stop.abort();
  }

  #follow(node: Redis): void {
    const address = addressOf(node);
    node.on('close', () => {
      for (const [part, owner] of this.#owners.entries()) if (owner === address) this.#moved(part);
    });
  }

  #compare(cluster: Cluster, shard: number): void {
    const owner = this.#owners[shard];
    if (owner !== null && ownerOfShard(cluster, shard) !== owner) this.#moved(shard);
  }

  #moved(part: number): void {
    this.#lose(part);
    void this.#ask(part);
  }

  #lose(part: number): void {
    this.#owners[part] = null;
    this.#deps.healths.ofShard(part)?.lost(this.#index);
  }

  /** Until it is known: a server that answers everything else would count as unhealthy for ever, and no lease would end. */
  async #ask(part: number): Promise<void> {
    if (this.#asking.has(part)) return;
    this.#asking.add(part);
    const { clock, connection } = this.#deps;
    const { client } = connection;
    while (!this.#stop.signal.aborted) {
      // A connection to one server asks again when it is there.
      if (!(client instanceof Cluster) && client.status !== 'ready') break;
      const known = await this.#identify(part).catch(() => false);
      if (known) break;
      this.#deps.healths.ofShard(part)?.failed();
      if (client instanceof Cluster && client.status === 'ready') client.refreshSlotsCache();
      await pause(clock, retryMs, this.#stop.signal);
    }
    this.#asking.delete(part);
  }

  /** False: it may have been another server that answered. */
  async #identify(part: number): Promise<boolean> {
    const { connection, healths } = this.#deps;
    const { client } = connection;
    const ownerNow = () => (client instanceof Cluster ? ownerOfShard(client, part) : '');
    const before = ownerNow();
    const answer = await connection.bounded(
      connection.runUntracked(scripts.identifyServer, shardKeys(part).prefix),
    );
    const [runId, role] = answer as readonly [string, string];
    if (role !== 'master' && !(client instanceof Cluster)) client.disconnect(true);
    const owner = ownerNow();
    if (role !== 'master' || owner === null || owner !== before) return false;
    this.#owners[part] = owner;
    healths.ofShard(part)?.identified(this.#index, runId);
    return true;
  }
}
