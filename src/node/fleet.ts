import type { Clock } from '../domain/clock.ts';
import { shareOfBoots } from '../domain/node-share.ts';
import type { NodeStatus, PoolStore } from '../store/pool-store.ts';

/**
 * What this node knows of the others: the last list of heartbeats. It is looked at with every heartbeat of its own and only
 * shares out work; who may start is decided by the store for every single start, so an old list costs balance and nothing
 * else. Only the age of a heartbeat removes a node, never a list that could not be read.
 */
export class Fleet {
  readonly #deps: { readonly store: Pick<PoolStore, 'nodes'>; readonly clock: Clock };
  readonly #nodeId: string;
  #starting: readonly { readonly status: NodeStatus; readonly heardAtMs: number }[] = [];

  constructor(
    deps: { readonly store: Pick<PoolStore, 'nodes'>; readonly clock: Clock },
    options: { readonly nodeId: string },
  ) {
    this.#deps = deps;
    this.#nodeId = options.nodeId;
  }

  async look(): Promise<void> {
    const nodes = await this.#deps.store.nodes();
    const nowMs = this.#deps.clock.monotonicMs();
    if (nodes.length === 0) return;
    this.#starting = nodes
      .filter(({ draining, order }) => !draining && order === null)
      .map((status) => ({ status, heardAtMs: nowMs - status.heartbeatAgeMs }));
  }

  /** How many of `count` boots for this pool this node should have in flight. */
  shareOfBoots(count: number, pool: string): number {
    const nowMs = this.#deps.clock.monotonicMs();
    const able = this.#starting
      .filter(({ heardAtMs }) => nowMs - heardAtMs <= nodeSilentMs)
      .map(({ status }) => status)
      .filter(({ pools }) => pools.includes(pool));
    return shareOfBoots(count, able, this.#nodeId);
  }
}

/** Five missed heartbeats: as long as placement waits. */
const nodeSilentMs = 5_000;
