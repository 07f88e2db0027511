import { WarmpoolError } from '../domain/errors.ts';
import type { SandboxRecord } from '../domain/sandbox.ts';
import type { Log } from '../observability/log.ts';
import type { NodeOrder, PoolStore } from '../store/pool-store.ts';
import type { NodeObserver } from './observer.ts';
import type { Replenishers } from './replenishers.ts';
import type { SandboxSupervisor, SupervisedSandbox } from './sandbox-supervisor.ts';

/**
 * Whether this node is in service, and what follows where it is not.
 *
 *   in service ⇄ under the operator's order (cordon, drain)       either ──leave──▶ leaving, for good
 *
 * Out of service a node starts nothing and has nothing ready; what is claimed goes on until its lease ends, or until the
 * time of a drain is up. The order comes with the answer to each heartbeat and is carried out with each one again, for what
 * has come up in the meantime; `obeyed` says in the next heartbeat when the first part is done (D18: nothing of it can be
 * handed out any more, and no claim has to ask).
 */
export class ServiceOrder {
  readonly #deps: ServiceOrderDeps;
  readonly #nodeId: string;
  #order: NodeOrder | null = null;
  #leaving = false;
  #obeying: Promise<void> | null = null;

  constructor(deps: ServiceOrderDeps, options: { readonly nodeId: string }) {
    this.#deps = deps;
    this.#nodeId = options.nodeId;
  }

  get leaving(): boolean {
    return this.#leaving;
  }

  get inService(): boolean {
    return !this.#leaving && this.#order === null;
  }

  /** Why this node fills no pool; empty while it does. */
  get note(): string {
    if (this.#leaving) return 'this node is being shut down';
    if (this.#order === null) return '';
    return this.#order.kind === 'cordon' ? 'this node is cordoned' : 'this node is being drained';
  }

  /** The order that is carried out: nothing is ready here, and nothing can become so. */
  get obeyed(): NodeOrder['kind'] | null {
    if (this.#order === null || this.#deps.replenishers.busy || this.#unclaimed().length > 0) return null;
    return this.#order.kind;
  }

  /** What the store has just said. True: the node is in service again. */
  heard(order: NodeOrder | null): boolean {
    if (this.#leaving) return false;
    const before = this.#order;
    this.#order = order;
    const { log, replenishers } = this.#deps;
    if (before?.kind !== order?.kind) {
      if (order === null) log.info({ node: this.#nodeId }, 'the node is in service again');
      else log.warn({ node: this.#nodeId, order: order.kind }, 'the node is taken out of service');
    }
    if (order === null) return before !== null;
    void replenishers.keep([]);
    this.#obeying ??= this.#obey(order).finally(() => {
      this.#obeying = null;
    });
    return false;
  }

  leave(): void {
    this.#leaving = true;
    void this.#deps.replenishers.keep([]);
  }

  /** Ends everything here that nobody has claimed. */
  async retireUnclaimed(): Promise<void> {
    await Promise.all(this.#unclaimed().map((entry) => this.#deps.retire(entry)));
  }

  /** Settles when the order is not being carried out any more. */
  async settled(): Promise<void> {
    await this.#obeying;
    await this.#deps.replenishers.settled();
  }

  /** It was placed here by somebody who had not heard yet that the node leaves. */
  async refuseStart({ id, incarnation }: SandboxRecord): Promise<void> {
    const { store, supervisor } = this.#deps;
    const fence = { id, nodeId: this.#nodeId, incarnation };
    const sentence = leavingSentence(this.#nodeId);
    const answer = await store.reportFailed(fence, 'node_drained', sentence).catch(() => null);
    // Without an answer, the drain of the process comes back to it.
    if (answer?.kind === 'done') await supervisor.remove(id);
  }

  refusal(): WarmpoolError {
    const sentence = `${leavingSentence(this.#nodeId)} and takes no first use of a sandbox`;
    return new WarmpoolError('DRAINING', sentence, { retryAfterMs: 1_000, facts: { node: this.#nodeId } });
  }

  async #obey(order: NodeOrder): Promise<void> {
    try {
      await this.retireUnclaimed();
      if (order.kind === 'drain' && order.endsInMs === 0) await this.#endClaimed();
    } catch (error) {
      const { log } = this.#deps;
      log.warn({ node: this.#nodeId, err: error }, 'an order was not carried out yet; trying again');
    }
  }

  /** The time of a drain is up. */
  async #endClaimed(): Promise<void> {
    const { store, observer, remove } = this.#deps;
    for (const { id, state, claim } of await store.inventory(this.#nodeId)) {
      if (!claim || (state !== 'running' && state !== 'starting')) continue;
      const answer = await store.beginStop({ id, tenant: null }, 'node_drained');
      if (answer.kind === 'refused') continue;
      observer.sandboxEnded('node_drained');
      await remove(answer.record);
    }
  }

  #unclaimed(): readonly SupervisedSandbox[] {
    return this.#deps.supervisor
      .entries()
      .filter(({ unclaimedIncarnation, phase }) => unclaimedIncarnation !== null && phase !== 'stopping');
  }
}

export interface ServiceOrderDeps {
  readonly store: Pick<PoolStore, 'inventory' | 'beginStop' | 'reportFailed'>;
  readonly supervisor: Pick<SandboxSupervisor, 'entries' | 'remove'>;
  readonly replenishers: Pick<Replenishers, 'keep' | 'busy' | 'settled'>;
  /** Ends one that nobody has claimed; one that somebody has by then stays. */
  readonly retire: (entry: SupervisedSandbox) => Promise<void>;
  /** Removes one that is on its way out. */
  readonly remove: (record: SandboxRecord) => Promise<void> | null;
  readonly observer: Pick<NodeObserver, 'sandboxEnded'>;
  readonly log: Log;
}

function leavingSentence(nodeId: string): string {
  return `node "${nodeId}" is being shut down`;
}
