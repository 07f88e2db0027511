import type { CatalogPool, PoolCatalog } from '../domain/pool-catalog.ts';
import type { SandboxRuntime } from '../runtime/sandbox-runtime.ts';

/** The catalogue's pools with the runtime each uses on this node, chosen once by the composition root. */
export class NodePools {
  readonly #catalog: PoolCatalog;
  #runtimes: ReadonlyMap<string, SandboxRuntime>;

  constructor(catalog: PoolCatalog, runtimes: ReadonlyMap<string, SandboxRuntime>) {
    this.#catalog = catalog;
    this.#runtimes = runtimes;
  }

  /** A pool this node can boot; undefined when it is unknown or no runtime here can carry it. */
  get(name: string): (CatalogPool & { readonly runtime: SandboxRuntime }) | undefined {
    const pool = this.#catalog.get(name);
    const runtime = this.#runtimes.get(name);
    return pool && runtime && { ...pool, runtime };
  }

  names(): readonly string[] {
    return this.#catalog.all().map((pool) => pool.spec.name);
  }

  /** Every distinct runtime in use here. */
  runtimes(): readonly SandboxRuntime[] {
    return [...new Set(this.#runtimes.values())];
  }

  replaceRuntimes(runtimes: ReadonlyMap<string, SandboxRuntime>): void {
    this.#runtimes = runtimes;
  }
}
