import type { NodeStatus } from '../pool-store.ts';

/** Every node's last heartbeat. */
export class MemoryNodes {
  readonly #heard = new Map<string, { readonly status: NodeStatus; readonly atMs: number }>();

  heard(status: NodeStatus, nowMs: number): void {
    this.#heard.set(status.nodeId, { status, atMs: nowMs });
  }

  all(nowMs: number): readonly (NodeStatus & { readonly heartbeatAgeMs: number })[] {
    return [...this.#heard.values()]
      .map(({ status, atMs }) => ({ ...status, heartbeatAgeMs: nowMs - atMs }))
      .sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1));
  }

  remove(nodeId: string): void {
    this.#heard.delete(nodeId);
  }
}
