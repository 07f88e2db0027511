import type { Log } from '../observability/log.ts';
import type { PoolStore } from '../store/pool-store.ts';
import type { BindJournal } from './bind-journal.ts';
import type { SupervisedSandbox } from './sandbox-supervisor.ts';

/**
 * Tells the store what this node knows for certain, where the store says something else (D9): it was emptied, put back to
 * an older state, or lost at a failover what it had answered. The store checks and writes in one step, so saying it twice,
 * or too late, does no harm.
 */
export class Registrar {
  readonly #deps: RegistrarDeps;
  readonly #nodeId: string;

  constructor(deps: RegistrarDeps, options: { nodeId: string }) {
    this.#deps = deps;
    this.#nodeId = options.nodeId;
  }

  /** That a sandbox which runs here is the claim's that the journal names. Whether the store says so now. */
  async registerBound(sandboxId: string): Promise<boolean> {
    const { store, journal, log } = this.#deps;
    const bound = journal.of(sandboxId);
    if (bound === null) return false;
    const answer = await store.registerBound(bound);
    if (answer.kind === 'refused') return false;
    log.warn({ sandbox: sandboxId, pool: bound.pool }, 'the store was told anew whose sandbox this is');
    return true;
  }

  /** The same for those who need not know. When the store does not answer, the next reconciling pass says it again. */
  async tryRegisterBound(sandboxId: string): Promise<void> {
    try {
      await this.registerBound(sandboxId);
    } catch (error) {
      this.#deps.log.warn(
        { sandbox: sandboxId, err: error },
        'the store could not be told whose sandbox this is',
      );
    }
  }

  /**
   * That a sandbox which nobody has ever used is here, whatever claim the store may have lost with its record: nothing was
   * left inside by that one, so the pool may have it back (I2). False when its pool has no use for it, or somebody may
   * have used it before this process did.
   */
  async registerReady(entry: SupervisedSandbox): Promise<boolean> {
    const { store, log } = this.#deps;
    const { id, pool, specVersion, unclaimedIncarnation: incarnation } = entry;
    if (!entry.bootedHere || incarnation === null) return false;
    const answer = await store.registerReady({ id, pool, specVersion, incarnation, nodeId: this.#nodeId });
    if (answer.kind === 'refused') return false;
    log.warn({ sandbox: id, pool }, 'the store was told anew of an unused sandbox');
    return true;
  }
}

export interface RegistrarDeps {
  readonly store: Pick<PoolStore, 'registerBound' | 'registerReady'>;
  readonly journal: BindJournal;
  readonly log: Log;
}
