import { Cluster, type Redis, type RedisCommander } from 'ioredis';
import type { Clock } from '../../domain/clock.ts';
import type { WarmpoolError } from '../../domain/errors.ts';
import { addressOf, ownerOfKey } from './cluster-owners.ts';
import { withinDeadline } from './command-deadline.ts';
import { shardOfKey } from './keys.ts';
import { type ConnectionProfile, mastersOf, newClient, type RedisClient } from './redis-client.ts';
import { classifyRedisError, commandTimedOut, isCommandTimeout, replyCode } from './redis-errors.ts';
import type { RedisHealth, StoreHealths } from './redis-health.ts';
import type { RedisPlace } from './redis-url.ts';
import type { Script } from './script.ts';
import { SharedWrites } from './shared-writes.ts';

export interface RedisConnectionDeps {
  readonly clock: Clock;
  readonly healths: StoreHealths;
}

/** Told of every answer before it is believed (server-watch.ts). */
export type OnAnswer = (shard: number) => void;

/**
 * One connection, or in a cluster one to each node: runs scripts, gives their failures a meaning, and tells the health of
 * the shard's server about both. All keys of a command are of one shard, or it goes to each of `masters`.
 */
export class RedisConnection {
  readonly client: RedisClient;
  readonly #profile: ConnectionProfile;
  readonly #clock: Clock;
  readonly #healths: StoreHealths;
  readonly #writes = new SharedWrites();
  #onAnswer: OnAnswer | null = null;

  constructor(deps: RedisConnectionDeps, place: RedisPlace, profile: ConnectionProfile) {
    this.client = newClient(place, profile);
    this.#profile = profile;
    this.#clock = deps.clock;
    this.#healths = deps.healths;
  }

  onAnswer(listener: OnAnswer): void {
    this.#onAnswer = listener;
  }

  async run(script: Script, key: string, ...keysAndArguments: (string | number)[]): Promise<unknown> {
    return this.#tracked(key, () => this.runUntracked(script, key, ...keysAndArguments));
  }

  /** Says nothing to the health of the shard: for finding out which server has it. */
  async runUntracked(
    script: Script,
    key: string,
    ...keysAndArguments: (string | number)[]
  ): Promise<unknown> {
    const { client } = this;
    this.#writes.hold(client);
    return client.evalsha(script.sha, script.keyCount, key, ...keysAndArguments).catch((error: unknown) => {
      // A server that was restarted or promoted does not know the script; it has not run.
      if (replyCode(error) !== 'NOSCRIPT') throw error;
      return client.eval(script.source, script.keyCount, key, ...keysAndArguments);
    });
  }

  /** For the few plain commands that the store needs beside its scripts; `key` is the first of theirs. */
  async plain<Answer>(key: string, command: (client: RedisCommander) => Promise<Answer>): Promise<Answer> {
    return this.#tracked(key, () => command(this.client));
  }

  /** For what has no key. */
  get masters(): readonly Redis[] {
    return mastersOf(this.client);
  }

  /** A command to one of the masters. */
  async ofMaster<Answer>(master: Redis, command: (client: Redis) => Promise<Answer>): Promise<Answer> {
    try {
      return await this.bounded(command(master));
    } catch (error) {
      throw classifyRedisError(error);
    }
  }

  bounded<Answer>(answer: Promise<Answer>): Promise<Answer> {
    return withinDeadline(this.#clock, this.#profile.commandTimeoutMs, answer, commandTimedOut);
  }

  disconnect(): void {
    const { client } = this;
    // Whoever asks for the slots just now would set a timer behind it to ask again, and so on: the process would never end.
    if (client instanceof Cluster) client.refreshSlotsCache = () => {};
    client.disconnect();
  }

  async #tracked<Answer>(key: string, command: () => Promise<Answer>): Promise<Answer> {
    const shard = shardOfKey(key);
    const health = this.#healths.ofShard(shard);
    try {
      const answer = await this.bounded(command());
      if (shard !== null) this.#onAnswer?.(shard);
      health?.succeeded();
      return answer;
    } catch (error) {
      throw this.#failed(error, key, health);
    }
  }

  #failed(error: unknown, key: string, health: RedisHealth | null): WarmpoolError {
    if (isCommandTimeout(error)) this.#cutOff(key);
    const failure = classifyRedisError(error);
    if (failure.code === 'STORE_UNAVAILABLE') health?.failed();
    return failure;
  }

  /**
   * A socket that swallows one command would swallow the next ones too: better a new one. While it connects, commands fail
   * at once instead of waiting for their own timeouts. (`socketTimeout` does the same at a cost per command.)
   */
  #cutOff(key: string): void {
    const { client } = this;
    if (!(client instanceof Cluster)) {
      if (client.status === 'ready') client.disconnect(true);
      return;
    }
    const owner = ownerOfKey(client, key);
    const master = client.nodes('all').find((node) => addressOf(node) === owner);
    if (master?.status === 'ready') master.disconnect();
    client.refreshSlotsCache();
  }
}
