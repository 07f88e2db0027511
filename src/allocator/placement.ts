import type { Clock } from '../domain/clock.ts';
import type { Log } from '../observability/log.ts';
import type { NodeStatus, PoolStore } from '../store/pool-store.ts';

/**
 * Where a cold start goes: the node with the most free capacity among those that live, are not draining and offer a
 * runtime. It reads the node list once a second in the background, so that placing costs a create nothing; only the age
 * of a heartbeat removes a node, never an empty or failed listing.
 */
export class Placement implements AsyncDisposable {
  readonly #store: Pick<PoolStore, 'nodes'>;
  readonly #clock: Clock;
  readonly #log: Log;
  #seen: readonly SeenNode[] = [];
  #cancelTimer: () => void = () => {};
  #refreshing: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(deps: { store: Pick<PoolStore, 'nodes'>; clock: Clock; log: Log }) {
    this.#store = deps.store;
    this.#clock = deps.clock;
    this.#log = deps.log;
  }

  async start(): Promise<void> {
    await this.#refresh();
  }

  /** null: no node can take a cold start now. */
  choose(): string | null {
    const nowMs = this.#clock.monotonicMs();
    let best: { nodeId: string; free: number } | null = null;
    for (const { status, heardAtMs } of this.#seen) {
      if (status.draining || status.runtimes.length === 0 || nowMs - heardAtMs > nodeTimeoutMs) continue;
      const free = 1 - status.sandboxes / status.capacity;
      if (free > 0 && (best === null || free > best.free)) best = { nodeId: status.nodeId, free };
    }
    return best?.nodeId ?? null;
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

  async #refresh(): Promise<void> {
    this.#refreshing = this.#read();
    await this.#refreshing;
    if (!this.#stopped) this.#cancelTimer = this.#clock.after(refreshIntervalMs, () => void this.#refresh());
  }

  async #read(): Promise<void> {
    try {
      const nodes = await this.#store.nodes();
      const nowMs = this.#clock.monotonicMs();
      if (nodes.length > 0) {
        this.#seen = nodes.map((status) => ({ status, heardAtMs: nowMs - status.heartbeatAgeMs }));
      }
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
  readonly status: NodeStatus;
  readonly heardAtMs: number;
}

const refreshIntervalMs = 1_000;
/** Five missed heartbeats. */
const nodeTimeoutMs = 5_000;
