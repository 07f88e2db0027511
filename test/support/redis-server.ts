import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Redis } from 'ioredis';
import { within } from './within.ts';

export interface RedisServerOptions {
  /** With it, everything that was answered survives `kill` and `restart`. */
  readonly aof?: boolean;
  readonly arguments?: readonly string[];
}

/**
 * A real redis-server for one test file: on a unix socket in a temporary folder of its own, no port. It owns the
 * process and the folder; both are gone after `stop`, and the process also when the test process exits without it.
 */
export class RedisServer implements AsyncDisposable {
  readonly url: string;
  readonly #folder: string;
  readonly #options: RedisServerOptions;
  #process: ChildProcess | null = null;
  readonly #clients = new Set<Redis>();
  #admin: Redis | null = null;
  readonly #killAtExit = () => {
    this.#process?.kill('SIGKILL');
    rmSync(this.#folder, { recursive: true, force: true });
  };

  private constructor(folder: string, options: RedisServerOptions) {
    this.#folder = folder;
    this.#options = options;
    this.url = `unix://${this.socketPath}`;
    process.on('exit', this.#killAtExit);
  }

  static async start(options: RedisServerOptions = {}): Promise<RedisServer> {
    const server = new RedisServer(await mkdtemp(join(tmpdir(), 'wp-redis-')), options);
    try {
      await server.restart();
    } catch (error) {
      await server.stop();
      throw error;
    }
    return server;
  }

  get socketPath(): string {
    return join(this.#folder, 'redis.sock');
  }

  /** Starts it on the data that is there, and settles when it takes commands. */
  async restart(): Promise<void> {
    const settings = [
      ...['--port', '0', '--unixsocket', this.socketPath, '--unixsocketperm', '700', '--dir', this.#folder],
      ...['--save', '', '--appendonly', this.#options.aof === true ? 'yes' : 'no', '--daemonize', 'no'],
      // A write is on its way to the disk before it is answered, so it outlives a kill of the process. With `everysec` it
      // would not always: while a background fsync runs, Redis answers first and writes up to two seconds later.
      ...['--appendfsync', 'no'],
      ...(this.#options.arguments ?? []),
    ];
    const server = spawn('redis-server', settings, { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#process = server;
    const lines = createInterface({ input: server.stdout });
    const exited = once(server, 'exit').then(([code]) => {
      throw new Error(`redis-server ended at its start with code ${code}`);
    });
    const ready = new Promise<void>((resolve) => {
      lines.on('line', (line) => {
        if (/Ready to accept connections|ready to accept connections at/.test(line)) resolve();
      });
    });
    exited.catch(() => {});
    await within(Promise.race([ready, exited]), () => 'redis-server takes no commands');
  }

  /** As a crash: nothing is flushed, no connection is closed properly. */
  async kill(): Promise<void> {
    const server = this.#process;
    this.#process = null;
    if (server === null || server.exitCode !== null || server.signalCode !== null) return;
    const exited = once(server, 'exit');
    server.kill('SIGKILL');
    await exited;
  }

  /** Accepts connections and commands, and answers nothing, until `resume`. */
  pause(): void {
    this.#process?.kill('SIGSTOP');
  }

  resume(): void {
    this.#process?.kill('SIGCONT');
  }

  get running(): boolean {
    return this.#process !== null;
  }

  /** A plain connection for looking and damaging; closed by `stop`. */
  client(): Redis {
    const client = new Redis({ path: this.socketPath, maxRetriesPerRequest: null });
    client.on('error', () => {});
    this.#clients.add(client);
    return client;
  }

  /** The same connection each time, for those who ask often. */
  get admin(): Redis {
    this.#admin ??= this.client();
    return this.#admin;
  }

  async stop(): Promise<void> {
    for (const client of this.#clients) client.disconnect();
    this.#clients.clear();
    await this.kill();
    process.off('exit', this.#killAtExit);
    await rm(this.#folder, { recursive: true, force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}
