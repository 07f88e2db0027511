import type { HeardNode, LossAnswer, NewNodeOrder, NodeOrder, NodeStatus } from '../pool-store.ts';

/** Every node's last heartbeat, and beside them what the operator has ordered. */
export class MemoryNodes {
  readonly #heard = new Map<string, Heartbeat>();
  readonly #orders = new Map<string, GivenOrder>();

  heard(status: NodeStatus, nowMs: number): NodeOrder | null {
    this.#heard.set(status.nodeId, { status, atMs: nowMs, lostAtMs: null });
    return this.#orderOf(status.nodeId, nowMs);
  }

  all(nowMs: number): readonly HeardNode[] {
    return [...this.#heard.values()]
      .map(({ status, atMs, lostAtMs }) => ({
        ...status,
        heartbeatAgeMs: nowMs - atMs,
        heartbeatAtMs: atMs,
        lostForMs: lostAtMs === null ? null : nowMs - lostAtMs,
        order: this.#orderOf(status.nodeId, nowMs),
      }))
      .sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1));
  }

  orders(nowMs: number): ReadonlyMap<string, NodeOrder> {
    return new Map([...this.#orders].map(([nodeId, order]) => [nodeId, seenFrom(order, nowMs)]));
  }

  order(nodeId: string, order: NewNodeOrder | null, nowMs: number): boolean {
    if (!this.#heard.has(nodeId) && !this.#orders.has(nodeId)) return false;
    if (order === null) this.#orders.delete(nodeId);
    else this.#orders.set(nodeId, { order, atMs: nowMs });
    return true;
  }

  lose(nodeId: string, silentMs: number, nowMs: number): LossAnswer {
    const known = this.#heard.get(nodeId);
    if (known === undefined) return { kind: 'not_found' };
    if (nowMs - known.atMs < silentMs) return { kind: 'alive' };
    const first = known.lostAtMs === null;
    known.lostAtMs ??= nowMs;
    return { kind: 'lost', first };
  }

  remove(nodeId: string, silentMs: number, nowMs: number): void {
    const known = this.#heard.get(nodeId);
    if (known !== undefined && nowMs - known.atMs >= silentMs) this.#heard.delete(nodeId);
  }

  #orderOf(nodeId: string, nowMs: number): NodeOrder | null {
    const given = this.#orders.get(nodeId);
    return given === undefined ? null : seenFrom(given, nowMs);
  }
}

interface Heartbeat {
  readonly status: NodeStatus;
  readonly atMs: number;
  lostAtMs: number | null;
}

interface GivenOrder {
  readonly order: NewNodeOrder;
  readonly atMs: number;
}

function seenFrom({ order, atMs }: GivenOrder, nowMs: number): NodeOrder {
  const forMs = nowMs - atMs;
  if (order.kind === 'cordon') return { kind: 'cordon', forMs };
  const { timeoutMs } = order;
  return { kind: 'drain', forMs, endsInMs: timeoutMs === null ? null : Math.max(0, timeoutMs - forMs) };
}
