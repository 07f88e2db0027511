import { Redis, type RedisOptions } from 'ioredis';
import type { WarmpoolError } from '../../domain/errors.ts';
import { classifyRedisError, isCommandTimeout, replyCode } from './redis-errors.ts';
import type { RedisHealth } from './redis-health.ts';
import type { Script } from './script.ts';

/**
 * Three kinds of connection, because what is right for one is harmful for another.
 *
 * - claims: somebody waits. Without a server it fails at once and never queues, because a queued command that was
 *   already reported as failed would still run when the server comes back. Nothing is sent twice behind our back.
 * - background: nobody waits, every verb is safe to repeat. It may queue and send again.
 * - stream: one blocking read at a time; the answers come at least every second, so silence means a dead socket.
 */
const common: RedisOptions = {
  lazyConnect: true,
  retryStrategy: (attempt) => Math.min(50 * 2 ** (attempt - 1), 1_000) + Math.random() * 100,
  // A demoted master did not run the command: find the new one.
  reconnectOnError: (error) => (replyCode(error) === 'READONLY' ? 2 : false),
};

export const claimsOptions: RedisOptions = {
  ...common,
  connectionName: 'warmpool-claims',
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  // With 1, a command that was cut off while a reconnect succeeds at once would wait for its timeout.
  maxRetriesPerRequest: 0,
  commandTimeout: 1_500,
  connectTimeout: 2_000,
};

export const backgroundOptions: RedisOptions = {
  ...common,
  connectionName: 'warmpool-background',
  maxRetriesPerRequest: 20,
  commandTimeout: 5_000,
  connectTimeout: 10_000,
};

export const streamBlockMs = 1_000;

export const streamOptions: RedisOptions = {
  ...common,
  connectionName: 'warmpool-stream',
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  connectTimeout: 2_000,
  // A blocking read that never settles is cut off after its own second and four more.
  blockingTimeout: 5_000,
  blockingTimeoutGrace: 4_000,
  socketTimeout: 5_000,
};

/** Connects when it is first used. */
export function newClient(options: RedisOptions): Redis {
  // Maps as flat lists, whichever protocol the server speaks: one shape to parse.
  const client = new Redis({ ...options, replyMapping: 'legacy' });
  // Every failure also reaches the command that it belongs to; an unhandled event would end the process.
  client.on('error', () => {});
  return client;
}

/** One connection that runs scripts, gives their failures a meaning, and tells the store's health about both. */
export class RedisConnection {
  readonly client: Redis;
  readonly #health: RedisHealth;

  constructor(options: RedisOptions, health: RedisHealth) {
    this.client = newClient(options);
    this.#health = health;
  }

  async run(script: Script, ...keysAndArguments: (string | number)[]): Promise<unknown> {
    try {
      const answer = await this.client
        .evalsha(script.sha, script.keyCount, ...keysAndArguments)
        .catch((error: unknown) => {
          // A server that was restarted or promoted does not know the script; it has not run.
          if (replyCode(error) !== 'NOSCRIPT') throw error;
          return this.client.eval(script.source, script.keyCount, ...keysAndArguments);
        });
      this.#health.succeeded();
      return answer;
    } catch (error) {
      throw this.#failed(error);
    }
  }

  /** For the few plain commands that the store needs beside its scripts. */
  async plain<Answer>(command: (client: Redis) => Promise<Answer>): Promise<Answer> {
    try {
      const answer = await command(this.client);
      this.#health.succeeded();
      return answer;
    } catch (error) {
      throw this.#failed(error);
    }
  }

  #failed(error: unknown): WarmpoolError {
    // A socket that swallows one command would swallow the next ones too: better a new one. While it connects, commands
    // fail at once instead of waiting for their own timeouts. (`socketTimeout` does the same at a cost per command.)
    if (isCommandTimeout(error) && this.client.status === 'ready') this.client.disconnect(true);
    const failure = classifyRedisError(error);
    if (failure.code === 'STORE_UNAVAILABLE') this.#health.failed();
    return failure;
  }
}
