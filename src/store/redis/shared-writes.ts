import type { Redis } from 'ioredis';
import { mastersOf, type RedisClient } from './redis-client.ts';

/**
 * Lets the commands of one turn of the event loop leave in one write. Each by itself would cost a system call here, and there
 * one more to read it, one to answer it and one for the append-only file: for short scripts that is as much as the scripts.
 *
 * It owns nothing but the streams that are held until the end of the turn (`setImmediate`: after everything that had come in
 * was looked at, and before the process sleeps again).
 *
 * Turned down: `enableAutoPipelining`, which sends no second batch while a command of the first has no answer.
 */
export class SharedWrites {
  #held: Redis['stream'][] = [];

  /** To be called before a command is sent. */
  hold(client: RedisClient): void {
    if (this.#held.length > 0) return;
    for (const { stream } of mastersOf(client)) {
      // Not there before the first connection.
      if (!stream) continue;
      stream.cork();
      this.#held.push(stream);
    }
    if (this.#held.length > 0) setImmediate(this.#release);
  }

  readonly #release = (): void => {
    const held = this.#held;
    this.#held = [];
    for (const stream of held) stream.uncork();
  };
}
