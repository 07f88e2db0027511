import { ApiKeys } from '../auth/api-keys.ts';
import { type DataKey, loadDataKey, loadVerifyingKey, type VerifyingKey } from '../auth/data-key.ts';
import { DataTokens } from '../auth/data-token.ts';
import type { ClosingStack } from '../closing-stack.ts';
import type { Config } from '../config/config.ts';
import { SystemClock } from '../domain/clock.ts';
import { type CatalogPool, PoolCatalog } from '../domain/pool-catalog.ts';
import type { PoolSpec } from '../domain/pool-spec.ts';
import { specVersionOf } from '../domain/spec-version.ts';
import { TenantCatalog } from '../domain/tenant-limits.ts';
import { holdStateFolder } from '../node/state-folder.ts';
import type { Log } from '../observability/log.ts';
import { Metrics } from '../observability/metrics.ts';
import { measuredPoolStore } from '../store/measured-pool-store.ts';
import { MemoryPoolStore } from '../store/memory/memory-pool-store.ts';
import type { PoolStore } from '../store/pool-store.ts';
import { RedisPoolStore } from '../store/redis/redis-pool-store.ts';
import { readRedisTls } from '../store/redis/redis-tls.ts';
import { TransitionFeed } from '../store/transition-feed.ts';

/** What either role stands on: the store that they meet in, the pools as the files say them, and the keys. */
export interface Core {
  readonly config: Config;
  readonly log: Log;
  readonly clock: SystemClock;
  readonly metrics: Metrics;
  readonly store: PoolStore;
  readonly catalog: PoolCatalog;
  readonly tenants: TenantCatalog;
  readonly feed: TransitionFeed;
  /** null: no sandbox is here. Another node on this host may have the id that this process would have. */
  readonly ownNodeId: string | null;
  readonly keys: ApiKeys;
  /** A node does with the public half. */
  readonly dataKey: DataKey | VerifyingKey;
  readonly tokens: DataTokens;
}

export async function openCore(config: Config, log: Log, started: ClosingStack): Promise<Core> {
  const clock = new SystemClock();
  const metrics = new Metrics(config.pools.map((pool) => pool.name));
  metrics.collectProcess();
  // Allocators keep nothing: any number of them may run beside a node, from one folder.
  if (config.role !== 'allocator') started.use(await holdStateFolder(config.stateFolder));
  const store = started.use(measuredPoolStore(openStore(config, clock, metrics, log), metrics));
  await store.open();
  const catalog = new PoolCatalog(config.pools.map(catalogPool));
  const tenants = new TenantCatalog(config.tenants);
  await declarePools({ config, store, tenants }, catalog.all());
  const keyPlace = { file: config.dataKeyFile, stateFolder: config.stateFolder };
  const dataKey = config.role === 'node' ? loadVerifyingKey(keyPlace) : loadDataKey(keyPlace);
  return {
    config,
    log,
    clock,
    metrics,
    store,
    catalog,
    tenants,
    feed: started.use(new TransitionFeed({ store, clock, log })),
    ownNodeId: config.role === 'allocator' ? null : config.nodeId,
    keys: new ApiKeys(config.apiKeys),
    dataKey,
    tokens: new DataTokens({ clock }, [dataKey]),
  };
}

export function catalogPool(spec: PoolSpec): CatalogPool {
  return { spec, specVersion: specVersionOf(spec.template) };
}

/** A node knows of no tenants: what is reserved for them stays as it is. */
export async function declarePools(
  { config, store, tenants }: Pick<Core, 'config' | 'store' | 'tenants'>,
  pools: readonly CatalogPool[],
): Promise<void> {
  for (const { spec, specVersion } of pools) {
    const reserved = config.role === 'node' ? {} : { reserved: tenants.reservedOf(spec.name) };
    await store.declarePool({ name: spec.name, specVersion, size: spec.size, ...reserved });
  }
}

function openStore(config: Config, clock: SystemClock, metrics: Metrics, log: Log): PoolStore {
  if (config.redisUrl === null) return new MemoryPoolStore({ clock });
  const warn = (sentence: string) => log.warn({}, sentence);
  const { redisUrl: url, redisTls, redisDurability: durability } = config;
  return new RedisPoolStore(
    { clock, warn, observer: metrics },
    { url, durability, tls: readRedisTls(redisTls) },
  );
}
