import type { Clock } from '../domain/clock.ts';
import { shareOfBoots } from '../domain/node-share.ts';
import type { NodeStatus, PoolStore } from '../store/pool-store.ts';

/**
 * What this node knows of the others: the last list of heartbeats. It only shares out work; who may start is decided by the
 * store for every single start, so an old list costs balance and nothing else. Only the age of a heartbeat removes a node,
 * never a list that could not be read.
 *
 * A small fleet's list is looked at with every heartbeat. A list costs the store as much more as it is longer, and there are
 * as many more who want it: so the larger the fleet, the longer each node rests between two looks.
 */
export class Fleet {
  readonly #deps: { readonly store: Pick<PoolStore, 'nodes'>; readonly clock: Clock };
  readonly #nodeId: string;
  #starting: readonly { readonly status: NodeStatus; readonly heardAtMs: number }[] = [];
  #restMs = 0;
  #restEndsMs = Number.NEGATIVE_INFINITY;

  constructor(
    deps: { readonly store: Pick<PoolStore, 'nodes'>; readonly clock: Clock },
    options: { readonly nodeId: string },
  ) {
    this.#deps = deps;
    this.#nodeId = options.nodeId;
  }

  /** How many nodes may start something, as far as is known. */
  get size(): number {
    return this.#starting.length;
  }

  async look(): Promise<void> {
    const { store, clock } = this.#deps;
    if (clock.monotonicMs() < this.#restEndsMs) return;
    const nodes = await store.nodes();
    const nowMs = clock.monotonicMs();
    if (nodes.length === 0) return;
    this.#restMs = nodes.length * restPerNodeMs;
    this.#restEndsMs = nowMs + this.#restMs;
    this.#starting = nodes
      .filter((node) => !node.draining && node.order === null && node.heartbeatAgeMs <= nodeSilentMs)
      .map((status) => ({ status, heardAtMs: nowMs - status.heartbeatAgeMs }));
  }

  /** How many of `count` boots for this pool this node should have in flight. */
  shareOfBoots(count: number, pool: string): number {
    const nowMs = this.#deps.clock.monotonicMs();
    const able = this.#starting
      .filter(({ heardAtMs }) => nowMs - heardAtMs <= nodeSilentMs + this.#restMs)
      .map(({ status }) => status)
      .filter(({ pools }) => pools.includes(pool));
    return shareOfBoots(count, able, this.#nodeId);
  }
}

/** All nodes together look a hundred times a second: 0.2 s of a Redis that has 1,000 of them to list (docs/scale.md). */
const restPerNodeMs = 10;
/** Five missed heartbeats: as long as placement waits. */
const nodeSilentMs = 5_000;
