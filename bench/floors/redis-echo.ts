import type { Redis } from 'ioredis';
import { ServerProcess } from '../server-process.ts';
import { connectEcho, type EchoClient } from './echo-contract.ts';

/** An atomic pop that leaves a mark on what it took: the least that handing something out can be. */
export const popScript = {
  numberOfKeys: 2,
  lua: `
    local popped = redis.call('ZPOPMIN', KEYS[1])
    if not popped[1] then return redis.error_reply('nothing is ready') end
    redis.call('HSET', KEYS[2] .. popped[1], 'state', 'running', 'claim', ARGV[1])
    return popped[1]`,
};

export const floorKeys = { ready: 'floor:ready', prefix: 'floor:record:' };

/** Beside the store under test, in the same server. */
const floorDb = 1;

/**
 * F1: a grpc-js unary echo with one Redis script for each call, in a process of the same shape as the subject's, called
 * by the same kind of client.
 */
export class RedisEcho implements AsyncDisposable {
  readonly #server: ServerProcess;
  readonly #client: EchoClient;
  readonly #redis: Redis;
  readonly #payload: Uint8Array;
  #filled = 0;

  /** `payloadBytes`: about what the subject's messages have. */
  static async start(options: {
    readonly redisSocket: string;
    readonly redis: Redis;
    readonly payloadBytes: number;
    readonly cpuProfFolder: string | null;
  }): Promise<RedisEcho> {
    const { redisSocket, redis, payloadBytes, cpuProfFolder } = options;
    const module = new URL('./echo-server.ts', import.meta.url);
    const server = await ServerProcess.start(module, { redisSocket, db: floorDb }, cpuProfFolder);
    await redis.select(floorDb);
    return new RedisEcho(server, redis, new Uint8Array(payloadBytes).fill(0x61));
  }

  private constructor(server: ServerProcess, redis: Redis, payload: Uint8Array) {
    this.#server = server;
    this.#client = connectEcho(server.address);
    this.#redis = redis;
    this.#payload = payload;
  }

  get pid(): number {
    return this.#server.pid;
  }

  /** Makes `count` more things to pop. */
  async fill(count: number): Promise<void> {
    const members: (string | number)[] = [];
    for (let index = 0; index < count; index += 1) {
      this.#filled += 1;
      members.push(this.#filled, `member-${this.#filled}`);
      if (members.length === 2_000 || index === count - 1) {
        await this.#redis.zadd(floorKeys.ready, ...members.splice(0));
      }
    }
  }

  /** One call; milliseconds. */
  call(): Promise<number> {
    return new Promise((resolve, reject) => {
      const startedMs = performance.now();
      this.#client.pop({ payload: this.#payload }, (error) => {
        if (error) reject(error);
        else resolve(performance.now() - startedMs);
      });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client.close();
    await this.#server[Symbol.asyncDispose]();
  }
}
