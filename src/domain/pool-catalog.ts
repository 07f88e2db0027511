import type { PoolSpec } from './pool-spec.ts';

/** The pools this process serves, by name. Replaced as a whole on reload, so a reader never sees half of a change. */
export class PoolCatalog {
  #pools: ReadonlyMap<string, CatalogPool>;

  constructor(pools: readonly CatalogPool[]) {
    this.#pools = byName(pools);
  }

  get(name: string): CatalogPool | undefined {
    return this.#pools.get(name);
  }

  all(): readonly CatalogPool[] {
    return [...this.#pools.values()];
  }

  replace(pools: readonly CatalogPool[]): void {
    this.#pools = byName(pools);
  }
}

export interface CatalogPool {
  readonly spec: PoolSpec;
  /** Hash of the template: a ready sandbox of another version is not handed out. */
  readonly specVersion: string;
}

function byName(pools: readonly CatalogPool[]): ReadonlyMap<string, CatalogPool> {
  return new Map(pools.map((pool) => [pool.spec.name, pool]));
}
