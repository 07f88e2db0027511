import type { CatalogPool, PoolCatalog } from '../domain/pool-catalog.ts';
import type { RuntimeName } from '../domain/pool-spec.ts';
import type { SandboxRuntime } from '../runtime/sandbox-runtime.ts';

/**
 * The catalogue's pools with the runtime each uses on this node, chosen once by the composition root, and which of those
 * runtimes did not answer when the reconciler last asked them.
 */
export class NodePools {
  readonly #catalog: PoolCatalog;
  #runtimes: ReadonlyMap<string, SandboxRuntime>;
  /** Grows only: sandboxes outlive the pool they came from. */
  readonly #everUsed = new Set<SandboxRuntime>();
  #silent: ReadonlySet<RuntimeName> = new Set();

  constructor(catalog: PoolCatalog, runtimes: ReadonlyMap<string, SandboxRuntime>) {
    this.#catalog = catalog;
    this.#runtimes = runtimes;
    this.replaceRuntimes(runtimes);
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

  /** The pools that this node can boot. */
  carried(): readonly string[] {
    return this.names().filter((name) => this.#runtimes.has(name));
  }

  /** Every distinct runtime that a pool has used here, also one that has sandboxes of removed pools only. */
  runtimes(): readonly SandboxRuntime[] {
    return [...this.#everUsed];
  }

  /** What did not answer just now; whatever is not named did. */
  silentNow(silent: ReadonlySet<RuntimeName>): void {
    this.#silent = silent;
  }

  /** Why this node can boot nothing at all, in a sentence; null when some runtime answers. */
  whyNothingBoots(): string | null {
    const names = [...this.#runtimes.values()].map((runtime) => runtime.name);
    if (names.length === 0) return 'no runtime of this host can carry any pool';
    if (names.some((name) => !this.#silent.has(name))) return null;
    return `no runtime answers (${[...new Set(names)].join(', ')})`;
  }

  replaceRuntimes(runtimes: ReadonlyMap<string, SandboxRuntime>): void {
    this.#runtimes = runtimes;
    for (const runtime of runtimes.values()) this.#everUsed.add(runtime);
  }
}
