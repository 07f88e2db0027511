import { join } from 'node:path';
import { Allocator } from './allocator/allocator.ts';
import { Placement } from './allocator/placement.ts';
import { Reaper } from './allocator/reaper.ts';
import { ApiKeys } from './auth/api-keys.ts';
import { DataAccess } from './auth/data-access.ts';
import { loadDataKey } from './auth/data-key.ts';
import { DataTokens } from './auth/data-token.ts';
import { ClosingStack } from './closing-stack.ts';
import type { Config } from './config/config.ts';
import { diffPools } from './config/diff-pools.ts';
import { loadPools } from './config/pool-files.ts';
import { DataPlane } from './data-plane/data-plane.ts';
import { SystemClock } from './domain/clock.ts';
import { isWarmpoolError, WarmpoolError } from './domain/errors.ts';
import { type CatalogPool, PoolCatalog } from './domain/pool-catalog.ts';
import type { PoolSpec, RuntimeName } from './domain/pool-spec.ts';
import { explainTarget } from './domain/sizing.ts';
import { specVersionOf } from './domain/spec-version.ts';
import { startGrpcServer } from './grpc/grpc-server.ts';
import { GuestLink } from './guest-link/guest-link.ts';
import { type Readiness, startHttpServer } from './http/http-server.ts';
import { XgenDialect } from './http/xgen/xgen-dialect.ts';
import { BindJournal } from './node/bind-journal.ts';
import { Node } from './node/node.ts';
import { assertNodeIdIsFree } from './node/node-id.ts';
import { NodePools } from './node/node-pools.ts';
import { holdStateFolder } from './node/state-folder.ts';
import type { Log } from './observability/log.ts';
import { Metrics } from './observability/metrics.ts';
import { packageRoot } from './package-root.ts';
import { BubblewrapRuntime } from './runtime/bubblewrap/bubblewrap-runtime.ts';
import { DockerRuntime } from './runtime/docker/docker-runtime.ts';
import type { SandboxRuntime } from './runtime/sandbox-runtime.ts';
import { type Candidate, type Candidates, selectRuntime } from './runtime/select-runtime.ts';
import { measuredPoolStore } from './store/measured-pool-store.ts';
import { MemoryPoolStore } from './store/memory/memory-pool-store.ts';
import type { PoolStore } from './store/pool-store.ts';
import { RedisPoolStore } from './store/redis/redis-pool-store.ts';
import { TransitionFeed } from './store/transition-feed.ts';

/** A running service: both roles in one process. */
export interface Service extends AsyncDisposable {
  readonly addresses: { readonly grpc: string; readonly http: string; readonly data: string };
  readonly storeName: string;
  /** Each pool with what carries it and how full it is. */
  pools(): Promise<readonly PoolLine[]>;
  /** Reads the pool files again and applies what changed. Throws ConfigError and changes nothing when one is wrong. */
  reload(): Promise<void>;
  /** Stops serving, lets calls finish for `drainTimeoutMs`, and leaves nothing behind. */
  [Symbol.asyncDispose](): Promise<void>;
}

export interface PoolLine {
  readonly name: string;
  readonly runtime: string;
  readonly ready: number;
  readonly target: number;
  readonly note: string;
}

/**
 * Wires the service by hand: the one place that knows which adapter stands behind which port. Whatever was started is
 * closed again, in reverse order, at the end or when a later step fails.
 */
export async function startService(config: Config, log: Log): Promise<Service> {
  const started = new ClosingStack();
  try {
    return await start(config, log, started);
  } catch (error) {
    await started[Symbol.asyncDispose]().catch((closing: unknown) => {
      log.warn({ err: closing }, 'not everything could be closed');
    });
    throw error;
  }
}

async function start(config: Config, log: Log, started: ClosingStack): Promise<Service> {
  const clock = new SystemClock();
  const warn = (sentence: string) => log.warn({}, sentence);
  const metrics = new Metrics(config.pools.map((pool) => pool.name));
  metrics.collectProcess();

  started.use(await holdStateFolder(config.stateFolder));
  const store = started.use(measuredPoolStore(openStore(config, clock, warn), metrics));
  await store.open();
  await assertNodeIdIsFree({ store, clock }, config.nodeId);

  const candidates = await inspectRuntimes(config, clock, log, started);
  const runtimes = await assignRuntimes(config.pools, config, candidates, log);
  if (runtimes.size === 0) {
    throw new WarmpoolError(
      'RUNTIME_UNAVAILABLE',
      'no pool can be carried by any runtime of this host (see above)',
    );
  }

  const catalog = new PoolCatalog(config.pools.map(catalogPool));
  await declarePools(store, catalog.all());
  const feed = started.use(new TransitionFeed({ store, clock, log }));
  const nodePools = new NodePools(catalog, runtimes);
  const openGuest = (booted: { transport: GuestTransport; resync: boolean }) =>
    GuestLink.open(booted.transport, { clock, logger: log, resync: booted.resync, openTimeoutMs });
  const journal = started.use(
    BindJournal.open({ clock, observer: metrics, log }, join(config.stateFolder, 'claims.journal')),
  );
  const node = started.use(
    new Node(
      { store, journal, pools: nodePools, feed, openGuest, clock, observer: metrics, log },
      { nodeId: config.nodeId },
    ),
  );
  const placement = started.use(new Placement({ store, clock, log }));
  const reaper = started.use(
    new Reaper({ store, clock, observer: metrics, log, onEnding: (record) => void node.remove(record) }),
  );
  const allocator = new Allocator({
    store,
    catalog,
    feed,
    placement,
    clock,
    observer: metrics,
    startCold: (record) => node.startCold(record),
    remove: (record) => node.remove(record),
    guestOf: (record) => node.guest(record),
    vouch: (sandboxId, tenant) => node.vouch(sandboxId, tenant),
    describePool: (name) => node.describePool(name),
    poolChanged: () => node.syncPools(),
  });

  feed.start();
  await node.start();
  await placement.start();
  reaper.start();

  let draining = false;
  const pools = async (): Promise<readonly PoolLine[]> => {
    const lines = catalog.all().map(async ({ spec: { name } }) => {
      const snapshot = await store.readPool(name);
      const { ready = 0, starting = 0, live = 0, target = 0 } = snapshot ?? {};
      const { wanted = 0, offeredLoad = 0 } = snapshot
        ? explainTarget(snapshot.size, snapshot.demand, snapshot)
        : {};
      metrics.poolLevels(name, { ready, starting, live, target, wanted, offeredLoad });
      return { name, ready, target, ...node.describePool(name) };
    });
    return Promise.all(lines);
  };
  metrics.refreshBy(async () => void (await pools()));
  const readiness = async (): Promise<Readiness> => {
    const reasons = [
      draining ? 'the service is draining' : null,
      store.health().healthy ? null : 'the store does not answer',
      nodePools.whyNothingBoots(),
    ].filter((reason) => reason !== null);
    return reasons.length === 0 ? { ready: true } : { ready: false, reasons };
  };

  const dataKey = loadDataKey({ file: config.dataKeyFile, stateFolder: config.stateFolder });
  const tokens = new DataTokens({ clock }, [dataKey]);
  const keys = new ApiKeys(config.apiKeys);
  const dataPlane = started.use(
    await DataPlane.start(
      { allocator, keys, tokens, clock, observer: metrics.dataPlane, log },
      { listen: config.dataListen, allowedOrigins: config.dataOrigins },
    ),
  );
  const xgen = started.use(
    new XgenDialect(
      {
        allocator,
        keys,
        dataTokens: tokens,
        dataKey,
        clock,
        observer: metrics.dataPlane,
        log,
        ownStates: async () => {
          const own = await store.inventory(config.nodeId);
          return own.filter(({ claim }) => claim !== undefined).map(({ state }) => state);
        },
        ownerOf: async (id) => (await store.get(id, null))?.claim?.tenant ?? null,
      },
      {
        externalUrl: config.httpUrl,
        previewDomain: config.previewDomain,
        previewAuth: config.previewAuth,
        trustedProxies: config.trustedProxies,
        requestsPerMinuteMax: config.xgenRequestsPerMinute,
      },
    ),
  );
  feed.listen({
    heard: ({ to, tenant, nodeId }) => {
      // Every process hears of every end: the one that had it counts it.
      if (to === 'stopped' && tenant !== null && nodeId === config.nodeId) xgen.metrics.deleted();
    },
    missed: () => {},
  });
  const data = new DataAccess(tokens, config.dataUrl ?? socketUrl(dataPlane.address, log));
  const http = started.use(
    await startHttpServer(
      {
        metrics: {
          contentType: metrics.contentType,
          expose: async () => `${await metrics.expose()}${await xgen.metrics.expose()}`,
        },
        readiness,
        dialects: [xgen.app],
        onRequest: (request, response) => xgen.handle(request, response),
        onUpgrade: (request, socket, head) => {
          if (!xgen.upgrade(request, socket, head)) dataPlane.upgrade(request, socket, head);
        },
      },
      { listen: config.httpListen },
    ),
  );
  const grpc = started.use(
    await startGrpcServer({ allocator, keys: config.apiKeys, log, data }, { listen: config.grpcListen }),
  );
  grpc.setServing(true);

  let served = config.pools;
  const reloadOnce = async (): Promise<void> => {
    const after = loadPools(config.poolsFolder);
    const changes = diffPools(served, after);
    const touched = [...changes.added, ...changes.changed];
    const kept = new Map([...runtimes].filter(([name]) => after.some((pool) => pool.name === name)));
    for (const [name, runtime] of await assignRuntimes(touched, config, candidates, log))
      kept.set(name, runtime);
    await declarePools(store, touched.map(catalogPool));
    catalog.replace(after.map(catalogPool));
    nodePools.replaceRuntimes(kept);
    runtimes.clear();
    for (const [name, runtime] of kept) runtimes.set(name, runtime);
    metrics.setPools(after.map((pool) => pool.name));
    served = after;
    node.syncPools();
    const names = (of: readonly PoolSpec[]) => of.map((pool) => pool.name);
    log.info(
      { added: names(changes.added), changed: names(changes.changed), removed: names(changes.removed) },
      'pool files read again',
    );
  };
  // One at a time: two that interleave would leave the pools of whichever finished last.
  let reloading: Promise<unknown> = Promise.resolve();
  const reload = (): Promise<void> => {
    const done = reloading.then(reloadOnce);
    reloading = done.catch(() => {});
    return done;
  };

  return {
    addresses: {
      grpc: address(grpc.address),
      http: address(http.address),
      data: address(dataPlane.address),
    },
    storeName: config.redisUrl === null ? 'embedded (memory)' : 'redis',
    pools,
    reload,
    async [Symbol.asyncDispose]() {
      draining = true;
      grpc.setServing(false);
      await Promise.all([grpc, dataPlane, xgen].map((edge) => edge.drain(config.drainTimeoutMs)));
      await started[Symbol.asyncDispose]();
    },
  };
}

type GuestTransport = Parameters<typeof GuestLink.open>[0];

function openStore(config: Config, clock: SystemClock, warn: (sentence: string) => void): PoolStore {
  if (config.redisUrl === null) return new MemoryPoolStore({ clock });
  return new RedisPoolStore({ clock, warn }, { url: config.redisUrl });
}

/** Looks at both runtimes and says once what each cannot enforce here. One that nobody may use stays silent. */
async function inspectRuntimes(
  config: Config,
  clock: SystemClock,
  log: Log,
  started: ClosingStack,
): Promise<Candidates> {
  const warn = (sentence: string) => log.warn({}, sentence);
  const { nodeId, stateFolder, dockerHost, dockerCertFolder: certFolder } = config;
  const guestPath = join(packageRoot(), 'guest', 'build', 'warmpool-guest');
  const inUse = new Set(
    config.pools.map(({ template }) => (template.runtime === 'auto' ? config.runtime : template.runtime)),
  );
  const inspected = async (name: RuntimeName, setUp: () => SandboxRuntime): Promise<Candidate> => {
    let runtime: SandboxRuntime;
    try {
      runtime = started.use(setUp());
    } catch (error) {
      // An address of an engine that cannot be used is no reason to refuse pools that need no engine.
      if (!isWarmpoolError(error)) throw error;
      return { usable: false, reason: error.message };
    }
    const report = await runtime.inspectHost();
    if (!report.usable) return report;
    if (inUse.has('auto') || inUse.has(name)) {
      log.info({ runtime: name, ...report.versions }, 'runtime found');
      for (const sentence of report.warnings) log.warn({ runtime: name }, sentence);
    }
    return { usable: true, runtime };
  };
  return {
    docker: await inspected(
      'docker',
      () => new DockerRuntime({ clock, warn }, { dockerHost, certFolder, nodeId, guestPath }),
    ),
    bubblewrap: await inspected(
      'bubblewrap',
      () => new BubblewrapRuntime({ clock, warn }, { stateFolder, nodeId, guestPath }),
    ),
  };
}

async function assignRuntimes(
  pools: readonly PoolSpec[],
  config: Config,
  candidates: Candidates,
  log: Log,
): Promise<Map<string, SandboxRuntime>> {
  const assigned = new Map<string, SandboxRuntime>();
  for (const pool of pools) {
    const selection = await selectRuntime(pool, config.runtime, candidates);
    if (selection.kind === 'selected') {
      assigned.set(pool.name, selection.runtime);
      log.info({ pool: pool.name, runtime: selection.runtime.name, why: selection.why }, 'runtime chosen');
    } else {
      log.error({ pool: pool.name, reason: selection.reason }, 'no runtime can carry this pool');
    }
  }
  return assigned;
}

function catalogPool(spec: PoolSpec): CatalogPool {
  return { spec, specVersion: specVersionOf(spec.template) };
}

async function declarePools(store: PoolStore, pools: readonly CatalogPool[]): Promise<void> {
  for (const { spec, specVersion } of pools) {
    await store.declarePool({ name: spec.name, specVersion, size: spec.size });
  }
}

function address(bound: { readonly host: string; readonly port: number }): string {
  return `${bound.host.includes(':') ? `[${bound.host}]` : bound.host}:${bound.port}`;
}

/** Where clients on this machine reach the data port; for others the configuration says it. */
function socketUrl(bound: { readonly host: string; readonly port: number }, log: Log): string {
  const isAny = bound.host === '0.0.0.0' || bound.host === '::';
  if (isAny)
    log.warn({}, 'ws_url says localhost: set WARMPOOL_DATA_URL to what clients reach the data port by');
  return `ws://${address(isAny ? { host: 'localhost', port: bound.port } : bound)}`;
}

/** A guest answers Hello as its first act; on a loaded host its start may take a while. */
const openTimeoutMs = 10_000;
