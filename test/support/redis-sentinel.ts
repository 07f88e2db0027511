import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { freePorts, ownLoopbackAddress } from './free-ports.ts';
import { Partition } from './partition.ts';
import { RedisServer } from './redis-server.ts';
import { until } from './until.ts';

export interface RedisSentinelOptions {
  readonly sentinels?: number;
  readonly replicas?: number;
  /** The first master is known to all others by a port that can be cut off from it. */
  readonly masterBehindPartition?: boolean;
  /** After it a silent master is held for dead. */
  readonly downAfterMs?: number;
  readonly arguments?: readonly string[];
}

interface WatchedServer {
  readonly server: RedisServer;
  readonly port: number;
}

/**
 * A real master with its replicas (one by default) and sentinels that watch them, on a loopback address of their own. It
 * owns the processes and their folders.
 */
export class RedisSentinel implements AsyncDisposable {
  readonly url: string;
  readonly servers: readonly WatchedServer[];
  /** Where the first master itself listens, whoever it is cut off from. */
  readonly firstMasterUrl: string;
  readonly #sentinels: readonly SentinelProcess[];
  readonly #partition: Partition | null;

  private constructor(parts: StandParts) {
    this.url = parts.url;
    this.servers = parts.servers;
    this.firstMasterUrl = parts.firstMasterUrl;
    this.#sentinels = parts.sentinels;
    this.#partition = parts.partition;
  }

  /** Between the first master and everybody else but those who have its own address. */
  get partition(): Partition {
    if (this.#partition === null) throw new Error('the master was not put behind a partition');
    return this.#partition;
  }

  /** Settles when every sentinel knows the replicas and the others: before that none could replace the master. */
  static async start(options: RedisSentinelOptions = {}): Promise<RedisSentinel> {
    const { sentinels: count = 3, replicas = 1, downAfterMs = 2_000 } = options;
    const host = ownLoopbackAddress();
    const [ownPort = 0, ...otherPorts] = await freePorts(host, 1 + replicas + count);
    const [replicaPorts, ports] = [otherPorts.slice(0, replicas), otherPorts.slice(replicas)];
    const partition = options.masterBehindPartition ? await Partition.before({ host, port: ownPort }) : null;
    const masterPort = partition?.port ?? ownPort;
    const listen = (port: number) => ['--port', String(port), '--bind', host, '--protected-mode', 'no'];
    const quick = ['--repl-diskless-sync-delay', '0', '--replica-announce-ip', host];
    const more = [...quick, ...(options.arguments ?? [])];
    const servers: WatchedServer[] = [];
    const sentinels: SentinelProcess[] = [];
    const url = `redis+sentinel://${ports.map((port) => `${host}:${port}`).join(',')}/warmpool`;
    const firstMasterUrl = `redis://${host}:${ownPort}`;
    const stand = new RedisSentinel({ url, firstMasterUrl, servers, sentinels, partition });
    try {
      const announced = ['--replica-announce-port', String(masterPort)];
      const master = await RedisServer.start({ arguments: [...listen(ownPort), ...more, ...announced] });
      servers.push({ server: master, port: masterPort });
      for (const port of replicaPorts) {
        const following = ['--replicaof', `${host} ${masterPort}`];
        const replica = await RedisServer.start({ arguments: [...listen(port), ...more, ...following] });
        servers.push({ server: replica, port });
      }
      const quorum = Math.floor(count / 2) + 1;
      for (const port of ports) {
        sentinels.push(await SentinelProcess.start({ host, port, masterPort, quorum, downAfterMs }));
      }
      await stand.settled();
      return stand;
    } catch (error) {
      await stand.stop();
      throw error;
    }
  }

  /** The replicas are linked, and all sentinels know of them and of each other. */
  async settled(): Promise<void> {
    await until(async () => {
      const links = await Promise.all(
        this.servers
          .filter(({ server }) => server.running)
          .map(async ({ server }) => !/master_link_status:down/.test(await server.admin.info('replication'))),
      );
      const seen = await Promise.all(this.#sentinels.map((sentinel) => sentinel.knows()));
      const others = this.#sentinels.length - 1;
      const replicas = this.servers.length - 1;
      return (
        links.every(Boolean) && seen.every((each) => each.replicas >= replicas && each.sentinels === others)
      );
    }, 'the sentinels know the replicas and each other');
  }

  /** The server that the sentinels say is the master. */
  async master(): Promise<WatchedServer> {
    const [sentinel] = this.#sentinels;
    const port = await sentinel?.masterPort();
    const master = this.servers.find((server) => server.port === port);
    if (master === undefined) throw new Error(`no server listens on ${port}`);
    return master;
  }

  async stop(): Promise<void> {
    await Promise.all([
      ...this.servers.map(({ server }) => server.stop()),
      ...this.#sentinels.map((sentinel) => sentinel.stop()),
      this.#partition?.[Symbol.asyncDispose](),
    ]);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

interface StandParts {
  readonly url: string;
  readonly firstMasterUrl: string;
  readonly servers: readonly WatchedServer[];
  readonly sentinels: readonly SentinelProcess[];
  readonly partition: Partition | null;
}

interface SentinelSettings {
  readonly host: string;
  readonly port: number;
  readonly masterPort: number;
  readonly quorum: number;
  readonly downAfterMs: number;
}

/** One sentinel: it rewrites its configuration, so that lies in a folder of its own. */
class SentinelProcess {
  readonly #folder: string;
  readonly #process: ChildProcess;
  readonly #client: Redis;
  readonly #killAtExit = () => {
    this.#process.kill('SIGKILL');
    rmSync(this.#folder, { recursive: true, force: true });
  };

  private constructor(folder: string, child: ChildProcess, { host, port }: SentinelSettings) {
    this.#folder = folder;
    this.#process = child;
    this.#client = new Redis({
      host,
      port,
      maxRetriesPerRequest: null,
      retryStrategy: () => 50,
      protocol: 2,
    });
    this.#client.on('error', () => {});
    process.on('exit', this.#killAtExit);
  }

  static async start(settings: SentinelSettings): Promise<SentinelProcess> {
    const { host, port, masterPort, quorum, downAfterMs } = settings;
    const folder = await mkdtemp(join(tmpdir(), 'wp-sentinel-'));
    const file = join(folder, 'sentinel.conf');
    await writeFile(
      file,
      [
        `port ${port}`,
        `bind ${host}`,
        'protected-mode no',
        `dir ${folder}`,
        `sentinel announce-ip ${host}`,
        `sentinel announce-port ${port}`,
        `sentinel monitor warmpool ${host} ${masterPort} ${quorum}`,
        `sentinel down-after-milliseconds warmpool ${downAfterMs}`,
        'sentinel failover-timeout warmpool 5000',
        '',
      ].join('\n'),
    );
    const child = spawn('redis-server', [file, '--sentinel'], { stdio: ['ignore', 'ignore', 'inherit'] });
    return new SentinelProcess(folder, child, settings);
  }

  async knows(): Promise<{ readonly replicas: number; readonly sentinels: number }> {
    const master = new Map<string, string>();
    const flat = (await this.#client.call('SENTINEL', 'MASTER', 'warmpool')) as string[];
    for (let at = 0; at + 1 < flat.length; at += 2) master.set(flat[at] ?? '', flat[at + 1] ?? '');
    return {
      replicas: Number(master.get('num-slaves')),
      sentinels: Number(master.get('num-other-sentinels')),
    };
  }

  async masterPort(): Promise<number> {
    const [, port] = (await this.#client.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'warmpool')) as string[];
    return Number(port);
  }

  async stop(): Promise<void> {
    this.#client.disconnect();
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const exited = once(this.#process, 'exit');
      this.#process.kill('SIGKILL');
      await exited;
    }
    process.off('exit', this.#killAtExit);
    await rm(this.#folder, { recursive: true, force: true });
  }
}
