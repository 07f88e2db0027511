import { Sessions } from '../allocator/session.ts';
import { canSign } from '../auth/data-key.ts';
import { ClosingStack } from '../closing-stack.ts';
import type { Config } from '../config/config.ts';
import { diffPools } from '../config/diff-pools.ts';
import { loadPools } from '../config/pool-files.ts';
import { DataPlane } from '../data-plane/data-plane.ts';
import type { PoolSpec } from '../domain/pool-spec.ts';
import { explainTarget } from '../domain/sizing.ts';
import { type HttpServerDeps, type Readiness, startHttpServer } from '../http/http-server.ts';
import type { Node } from '../node/node.ts';
import type { Figures } from '../observability/figures.ts';
import type { Log } from '../observability/log.ts';
import { openAllocatorRole, openGrpc, openReaper, openXgen } from './allocator-role.ts';
import { type Core, catalogPool, declarePools, openCore } from './core.ts';
import { addressText, clientUrl, nodeAddresses } from './data-urls.ts';
import { dataTlsOf } from './link-tls.ts';
import { type NodeRole, openNodeRole } from './node-role.ts';
import { FiguresOfAll } from './worker-figures.ts';
import { isWorker } from './workers.ts';

/** A running service, in one role or in both. */
export interface Service extends AsyncDisposable {
  /** A node serves no calls: it has no gRPC. What is behind workers leaves both ports to them. */
  readonly addresses: { readonly grpc?: string; readonly http?: string; readonly data: string };
  readonly storeName: string;
  /** Each pool with what carries it and how full it is. */
  pools(): Promise<readonly PoolLine[]>;
  /** What this process has counted. */
  figures(): Promise<Figures>;
  /** Reads the pool files again and applies what changed. Throws ConfigError and changes nothing when one is wrong. */
  reload(): Promise<void>;
  /** Stops serving, lets calls finish for `drainTimeoutMs`, and leaves nothing behind. */
  [Symbol.asyncDispose](): Promise<void>;
}

export interface ServiceOptions {
  /** Workers of this process serve the ports of gRPC and HTTP. */
  readonly isBehindWorkers: boolean;
}

export interface PoolLine {
  readonly name: string;
  readonly runtime: string;
  readonly ready: number;
  readonly target: number;
  readonly note: string;
}

/**
 * Wires the service by hand. This folder is the one place that knows which adapter stands behind which port: what both
 * roles stand on is in core.ts, and each role has a file. Whatever was started is closed again, in reverse order, at the
 * end or when a later step fails.
 */
export async function startService(
  config: Config,
  log: Log,
  options: ServiceOptions = { isBehindWorkers: false },
): Promise<Service> {
  const started = new ClosingStack();
  try {
    return await start(config, log, options, started);
  } catch (error) {
    await started[Symbol.asyncDispose]().catch((closing: unknown) => {
      log.warn({ err: closing }, 'not everything could be closed');
    });
    throw error;
  }
}

async function start(
  config: Config,
  log: Log,
  options: ServiceOptions,
  started: ClosingStack,
): Promise<Service> {
  const core = await openCore(config, log, started);
  const { clock, metrics, store, catalog, feed, keys, tokens } = core;
  const host = config.role === 'allocator' ? null : await openNodeRole(core, started);
  const front = config.role === 'node' ? null : openAllocatorRole(core, host?.node ?? null, started);
  const reaper = openReaper(core, host?.node ?? null, started);

  // The node says in its first heartbeat where its data port is, so that one comes first.
  const dataPlane = started.use(
    await DataPlane.start(
      {
        allocator: front?.allocator ?? sessionsOf(core, host?.node ?? null),
        keys,
        tokens,
        clock,
        observer: metrics.dataPlane,
        log,
      },
      {
        listen: config.dataListen,
        tls: dataTlsOf(config.dataTls),
        allowedOrigins: config.dataOrigins,
        sharesPort: isWorker(),
      },
    ),
  );
  feed.start();
  const renewsTokens = canSign(core.dataKey);
  if (config.role === 'node' && !options.isBehindWorkers) warnOfKey(config, log, renewsTokens);
  await host?.node.start(nodeAddresses(config, dataPlane.address, log, { ...options, renewsTokens }));
  await front?.placement.start();
  reaper.start();

  let draining = false;
  const pools = async (): Promise<readonly PoolLine[]> => {
    const lines = catalog.all().map(async ({ spec: { name } }) => {
      const snapshot = await store.readPool(name);
      const { ready = 0, starting = 0, live = 0, waiting = 0, target = 0 } = snapshot ?? {};
      const { wanted = 0, offeredLoad = 0 } = snapshot
        ? explainTarget(snapshot.size, snapshot.demand, snapshot)
        : {};
      metrics.poolLevels(name, { ready, starting, live, waiting, target, wanted, offeredLoad });
      const { runtime, note } = host?.node.describePool(name) ?? { runtime: '', note: '' };
      return { name, ready, target, runtime, note };
    });
    return Promise.all(lines);
  };
  metrics.refreshBy(async () => void (await pools()));
  const readiness = async (): Promise<Readiness> => {
    const reasons = [
      draining ? 'the service is draining' : null,
      store.health().healthy ? null : 'the store does not answer',
      host?.pools.whyNothingBoots() ?? null,
    ].filter((reason) => reason !== null);
    return reasons.length === 0 ? { ready: true } : { ready: false, reasons };
  };

  const xgen = front && openXgen(core, front, started);
  const figures = async () => [...(await metrics.figures()), ...((await xgen?.metrics.figures()) ?? [])];
  const ofAll = isWorker() ? started.use(new FiguresOfAll(clock, figures)) : null;
  const httpDeps: HttpServerDeps = {
    metrics: {
      contentType: metrics.contentType,
      expose: async () =>
        ofAll ? await ofAll.expose() : `${await metrics.expose()}${(await xgen?.metrics.expose()) ?? ''}`,
    },
    readiness,
    ...(xgen && {
      dialects: [xgen.app],
      onRequest: (request, response) => xgen.handle(request, response),
    }),
    onUpgrade: (request, socket, head) => {
      if (!xgen?.upgrade(request, socket, head)) dataPlane.upgrade(request, socket, head);
    },
  };
  const http = options.isBehindWorkers
    ? null
    : started.use(await startHttpServer(httpDeps, { listen: config.httpListen }));
  const grpc = front && (await openGrpc(core, front, clientUrl(config, dataPlane.address, log), started));
  grpc?.setServing(true);

  return {
    addresses: {
      ...(grpc && { grpc: addressText(grpc.address) }),
      ...(http && { http: addressText(http.address) }),
      data: addressText(dataPlane.address),
    },
    storeName: storeNameOf(config),
    pools,
    figures,
    reload: oneAtATime(poolReload(core, host)),
    async [Symbol.asyncDispose]() {
      draining = true;
      grpc?.setServing(false);
      const edges = [grpc, dataPlane, xgen].filter((edge) => edge !== null);
      const left = host?.node.leave();
      await Promise.all(edges.map((edge) => edge.drain(config.drainTimeoutMs)));
      await left;
      await started[Symbol.asyncDispose]();
    },
  };
}

/** What a node's key lets it do that it need not, or does not that somebody may expect. */
function warnOfKey({ dataUrl }: Config, log: Log, renewsTokens: boolean): void {
  if (renewsTokens) {
    log.warn(
      {},
      'this node has the private key of data tokens, and could sign for the sandboxes of every other: give it the public one (openssl pkey -pubout)',
    );
  } else if (dataUrl !== null) {
    log.warn({}, 'clients are sent straight here, where no token is renewed: a socket ends with its token');
  }
}

export function storeNameOf(config: Config): string {
  return config.redisUrl === null ? 'embedded (memory)' : 'redis';
}

/** What a node has of the use cases: clients come to it with a token, to use what they have. */
function sessionsOf(core: Core, node: Node | null): Pick<Sessions, 'openSession'> {
  const { store, catalog, feed, clock } = core;
  return new Sessions({
    store,
    catalog,
    feed,
    clock,
    guestOf: (record) => node?.guest(record) ?? null,
    vouch: async (sandboxId, tenant) => (await node?.vouch(sandboxId, tenant)) ?? false,
  });
}

function poolReload(
  { config, store, catalog, tenants, metrics, log }: Core,
  host: NodeRole | null,
): () => Promise<void> {
  let served = config.pools;
  return async () => {
    const after = loadPools(config.poolsFolder);
    const changes = diffPools(served, after);
    const touched = [...changes.added, ...changes.changed];
    const kept = new Set(after.map((pool) => pool.name));
    const takeOver = await host?.prepareReload({ kept, touched });
    await declarePools({ config, store, tenants }, touched.map(catalogPool));
    catalog.replace(after.map(catalogPool));
    takeOver?.();
    metrics.setPools(after.map((pool) => pool.name));
    served = after;
    const names = (of: readonly PoolSpec[]) => of.map((pool) => pool.name);
    log.info(
      { added: names(changes.added), changed: names(changes.changed), removed: names(changes.removed) },
      'pool files read again',
    );
  };
}

/** Two reloads that interleave would leave the pools of whichever finished last. */
function oneAtATime(run: () => Promise<void>): () => Promise<void> {
  let running: Promise<unknown> = Promise.resolve();
  return () => {
    const done = running.then(run);
    running = done.catch(() => {});
    return done;
  };
}
