import { freePorts, ownLoopbackAddress } from './free-ports.ts';
import { RedisServer } from './redis-server.ts';
import { until } from './until.ts';

export interface RedisClusterOptions {
  readonly masters?: number;
  /** How many replicas each master has. */
  readonly replicas?: number;
  /** After it a silent node is held for dead, and a replica takes its place. Long by default: a loaded machine is silent too. */
  readonly nodeTimeoutMs?: number;
  readonly aof?: boolean;
  readonly arguments?: readonly string[];
}

/** One server of a cluster. It keeps its place and its data over `kill` and `restart`. */
export interface ClusterNode {
  readonly server: RedisServer;
  readonly host: string;
  readonly port: number;
  readonly id: string;
}

/**
 * A real Redis Cluster on a loopback address of its own, made without the waits of `redis-cli --cluster create`. It owns
 * its servers, as RedisServer owns each; a master that has lost its replicas' slots stays dead until it is restarted.
 */
export class RedisCluster implements AsyncDisposable {
  readonly url: string;
  readonly nodes: readonly ClusterNode[];

  private constructor(nodes: readonly ClusterNode[]) {
    this.nodes = nodes;
    this.url = `redis+cluster://${nodes.map(({ host, port }) => `${host}:${port}`).join(',')}`;
  }

  /** Settles when all slots are served and every replica has its master's data. */
  static async start(options: RedisClusterOptions = {}): Promise<RedisCluster> {
    const { masters = 3, replicas = 0 } = options;
    const cluster = new RedisCluster(await startServers(masters * (1 + replicas), options));
    try {
      await cluster.#join(masters);
      await cluster.settled();
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  async #join(masterCount: number): Promise<void> {
    const masters = this.nodes.slice(0, masterCount);
    const perMaster = Math.ceil(16_384 / masterCount);
    for (const [index, { server }] of this.nodes.entries()) {
      const client = server.admin;
      // Without it masters that meet have to agree on epochs first, one after the other.
      await client.call('CLUSTER', 'SET-CONFIG-EPOCH', index + 1);
      const first = index * perMaster;
      const last = Math.min(first + perMaster, 16_384) - 1;
      if (index < masterCount) await client.call('CLUSTER', 'ADDSLOTSRANGE', first, last);
    }
    const [seed, ...others] = this.nodes;
    for (const other of others) {
      const busPort = await busPortOf(other);
      await seed?.server.admin.call('CLUSTER', 'MEET', other.host, other.port, busPort);
    }
    await until(async () => {
      const known = await Promise.all(this.nodes.map((node) => clusterInfo(node, 'cluster_known_nodes')));
      return known.every((count) => count === String(this.nodes.length));
    }, 'all nodes of the cluster know each other');
    for (const [index, { server }] of this.nodes.entries()) {
      const master = masters[index % masterCount];
      if (index < masterCount || master === undefined) continue;
      // Refused until this node has heard what its master is.
      await until(
        () =>
          server.admin.call('CLUSTER', 'REPLICATE', master.id).then(
            () => true,
            () => false,
          ),
        `a replica of ${master.id}`,
      );
    }
  }

  /** All running nodes see every slot served, and every replica is linked: a master killed before that is never replaced. */
  async settled(): Promise<void> {
    await until(async () => {
      const states = await Promise.all(this.#running().map(nodeIsSettled));
      return states.every(Boolean);
    }, 'the cluster serves all slots and its replicas are linked');
  }

  /** The node that serves this key now, as the others see it. */
  async masterOf(key: string): Promise<ClusterNode> {
    const [witness] = this.#running();
    if (witness === undefined) throw new Error('no node of the cluster runs');
    const client = witness.server.admin;
    const slot = Number(await client.call('CLUSTER', 'KEYSLOT', key));
    const ranges = (await client.call('CLUSTER', 'SLOTS')) as [number, number, [string, number, string]][];
    const range = ranges.find(([first, last]) => first <= slot && slot <= last);
    return this.#nodeOf(range?.[2][2] ?? '');
  }

  async replicasOf(master: ClusterNode): Promise<readonly ClusterNode[]> {
    const lines = String(await master.server.admin.call('CLUSTER', 'NODES'))
      .trim()
      .split('\n');
    return lines
      .map((line) => line.split(' '))
      .filter(([, , , of]) => of === master.id)
      .map(([id = '']) => this.#nodeOf(id));
  }

  /** Moves one slot with all its keys while everybody goes on, as `redis-cli --cluster reshard` does. */
  async moveSlot(key: string, to: ClusterNode): Promise<void> {
    const from = await this.masterOf(key);
    const [source, target] = [from.server.admin, to.server.admin];
    const slot = Number(await source.call('CLUSTER', 'KEYSLOT', key));
    await target.call('CLUSTER', 'SETSLOT', slot, 'IMPORTING', from.id);
    await source.call('CLUSTER', 'SETSLOT', slot, 'MIGRATING', to.id);
    for (;;) {
      const keys = (await source.call('CLUSTER', 'GETKEYSINSLOT', slot, 10)) as string[];
      if (keys.length === 0) break;
      await source.call('MIGRATE', to.host, to.port, '', 0, 60_000, 'KEYS', ...keys);
    }
    for (const node of [to, from, ...this.#running()]) {
      const client = node.server.admin;
      if (await isMaster(node)) await client.call('CLUSTER', 'SETSLOT', slot, 'NODE', to.id);
    }
  }

  /** Empties every master. */
  async flush(): Promise<void> {
    await Promise.all(
      this.#running().map(async (node) => {
        if (await isMaster(node)) await node.server.admin.flushall();
      }),
    );
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map(({ server }) => server.stop()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #running(): readonly ClusterNode[] {
    return this.nodes.filter(({ server }) => server.running);
  }

  #nodeOf(id: string): ClusterNode {
    const node = this.nodes.find((candidate) => candidate.id === id);
    if (node === undefined) throw new Error(`the cluster has no node ${id}`);
    return node;
  }
}

async function startServers(count: number, options: RedisClusterOptions): Promise<readonly ClusterNode[]> {
  const host = ownLoopbackAddress();
  const ports = await freePorts(host, 2 * count);
  const started = await Promise.allSettled(
    Array.from({ length: count }, (_, index) => {
      const [port = 0, busPort = 0] = ports.slice(2 * index);
      return startNode(host, port, busPort, options);
    }),
  );
  const nodes = started.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const failed = started.find((one) => one.status === 'rejected');
  if (failed === undefined) return nodes;
  await Promise.all(nodes.map(({ server }) => server.stop()));
  throw failed.reason;
}

async function startNode(
  host: string,
  port: number,
  busPort: number,
  options: RedisClusterOptions,
): Promise<ClusterNode> {
  const server = await RedisServer.start({
    ...(options.aof === undefined ? {} : { aof: options.aof }),
    arguments: [
      ...['--port', String(port), '--bind', host, '--protected-mode', 'no', '--cluster-enabled', 'yes'],
      // What others see of a connection is where it comes from, and that is another loopback address.
      ...['--cluster-announce-ip', host],
      ...[
        '--cluster-port',
        String(busPort),
        '--cluster-node-timeout',
        String(options.nodeTimeoutMs ?? 15_000),
      ],
      // One master away must not take the others' shards with it; and a replica may always take over.
      ...['--cluster-require-full-coverage', 'no', '--cluster-replica-validity-factor', '0'],
      ...['--repl-diskless-sync-delay', '0', '--repl-ping-replica-period', '1'],
      ...(options.arguments ?? []),
    ],
  });
  return { server, host, port, id: String(await server.admin.call('CLUSTER', 'MYID')) };
}

async function nodeIsSettled(node: ClusterNode): Promise<boolean> {
  try {
    if ((await clusterInfo(node, 'cluster_state')) !== 'ok') return false;
    if ((await clusterInfo(node, 'cluster_slots_ok')) !== '16384') return false;
    const replication = await node.server.admin.info('replication');
    return !/master_link_status:down/.test(replication);
  } catch {
    return false;
  }
}

async function isMaster({ server }: ClusterNode): Promise<boolean> {
  return /^role:master/m.test(await server.admin.info('replication'));
}

async function clusterInfo({ server }: ClusterNode, field: string): Promise<string | undefined> {
  const info = String(await server.admin.call('CLUSTER', 'INFO'));
  return new RegExp(`^${field}:(\\S+)`, 'm').exec(info)?.[1];
}

async function busPortOf({ server }: ClusterNode): Promise<string> {
  const [, port = ''] = (await server.admin.config('GET', 'cluster-port')) as string[];
  return port;
}
