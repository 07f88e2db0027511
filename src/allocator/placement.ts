import { type Clock, pause } from '../domain/clock.ts';
import type { Log } from '../observability/log.ts';
import type { HeardNode, NodeStatus, PoolStore } from '../store/pool-store.ts';

/**
 * Where a cold start goes: to a node with much free capacity among those that live, are in service and can carry the pool.
 * It reads the node list once a second in the background, so that placing costs a create nothing; only the age of a
 * heartbeat removes a node, never an empty or failed listing.
 *
 * Every allocator sees the same list, and sees it late. So none takes the best node of all: it draws two, each with odds of
 * its free slots, and takes the one that is freer ("the power of two choices", Mitzenmacher 2001); what it has placed
 * itself since the last look counts. A node that has just come back empty then gets its share and not the whole herd.
 */
export class Placement implements AsyncDisposable {
  readonly #store: Pick<PoolStore, 'nodes'>;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #random: () => number;
  #seen: readonly SeenNode[] = [];
  /** Chosen here since the list was read: by node. */
  #placed = new Map<string, number>();
  #cancelTimer: () => void = () => {};
  #reading: Promise<void> | null = null;
  #refreshing: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(deps: {
    store: Pick<PoolStore, 'nodes'>;
    clock: Clock;
    log: Log;
    /** From 0 to below 1. */
    random?: () => number;
  }) {
    this.#store = deps.store;
    this.#clock = deps.clock;
    this.#log = deps.log;
    this.#random = deps.random ?? Math.random;
  }

  async start(): Promise<void> {
    await this.#refresh();
  }

  /** null: no node can take a cold start of this pool now. */
  choose(pool: string): string | null {
    const able = this.#able(pool);
    const [one, other] = [this.#draw(able), this.#draw(able)];
    if (one === null || other === null) return null;
    const chosen = other.freeShare > one.freeShare ? other : one;
    this.#placed.set(chosen.nodeId, (this.#placed.get(chosen.nodeId) ?? 0) + 1);
    return chosen.nodeId;
  }

  /**
   * The same, for a create that has found none: nodes say with their heartbeats which pools they carry, so nobody has said
   * so of one that was just added. Looks again until one does, or `heartbeatsMs` have gone by. Nodes that are full stay so.
   */
  async chooseSoon(pool: string, signal: AbortSignal): Promise<string | null> {
    const endMs = this.#clock.monotonicMs() + heartbeatsMs;
    const isCarried = () => this.#seen.some(({ status }) => status.pools.includes(pool));
    while (!isCarried() && !signal.aborted && this.#clock.monotonicMs() < endMs) {
      await this.#read();
      if (!isCarried()) await pause(this.#clock, lookAgainMs, signal);
    }
    return this.choose(pool);
  }

  /** What a node said of itself last; null for one that was never heard of. */
  known(nodeId: string): NodeStatus | null {
    return this.#seen.find(({ status }) => status.nodeId === nodeId)?.status ?? null;
  }

  /** The same, and for one that is not known looks at the list: it may have come since the last time. */
  async find(nodeId: string): Promise<NodeStatus | null> {
    if (this.known(nodeId) === null) await this.#read();
    return this.known(nodeId);
  }

  #able(pool: string): readonly Room[] {
    const nowMs = this.#clock.monotonicMs();
    return this.#seen
      .filter(({ heardAtMs }) => nowMs - heardAtMs <= nodeSilentMs)
      .map(({ status }) => status)
      .filter(({ draining, order, pools }) => !draining && order === null && pools.includes(pool))
      .map(({ nodeId, sandboxes, capacity }) => {
        const freeSlots = capacity - sandboxes - (this.#placed.get(nodeId) ?? 0);
        return { nodeId, freeSlots, freeShare: freeSlots / capacity };
      })
      .filter(({ freeSlots }) => freeSlots > 0);
  }

  /** One of them, with odds of its free slots. */
  #draw(able: readonly Room[]): Room | null {
    let left = this.#random() * able.reduce((sum, { freeSlots }) => sum + freeSlots, 0);
    for (const room of able) {
      left -= room.freeSlots;
      if (left < 0) return room;
    }
    return able.at(-1) ?? null;
  }

  async #refresh(): Promise<void> {
    this.#refreshing = this.#read();
    await this.#refreshing;
    if (!this.#stopped) this.#cancelTimer = this.#clock.after(refreshIntervalMs, () => void this.#refresh());
  }

  /** One look at a time, however many creates ask for it. */
  #read(): Promise<void> {
    this.#reading ??= this.#readOnce().finally(() => {
      this.#reading = null;
    });
    return this.#reading;
  }

  async #readOnce(): Promise<void> {
    try {
      const nodes = await this.#store.nodes();
      const nowMs = this.#clock.monotonicMs();
      if (nodes.length === 0) return;
      this.#seen = nodes.map((status) => ({ status, heardAtMs: nowMs - status.heartbeatAgeMs }));
      this.#placed = new Map();
    } catch (error) {
      this.#log.warn({ err: error }, 'the node list could not be read; using the one before');
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    this.#cancelTimer();
    await this.#refreshing;
  }
}

interface SeenNode {
  readonly status: HeardNode;
  readonly heardAtMs: number;
}

interface Room {
  readonly nodeId: string;
  readonly freeSlots: number;
  /** Of its capacity. */
  readonly freeShare: number;
}

const refreshIntervalMs = 1_000;
const lookAgainMs = 250;
/** Two, and some time for them to be written. */
const heartbeatsMs = 2_500;
/** Five missed heartbeats. */
export const nodeSilentMs = 5_000;
