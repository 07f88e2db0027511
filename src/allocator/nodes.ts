import { type Clock, pause } from '../domain/clock.ts';
import { invalidRequest, WarmpoolError } from '../domain/errors.ts';
import type { NodeState } from '../domain/node-state.ts';
import type { SandboxRecord } from '../domain/sandbox.ts';
import { isEnded } from '../domain/transitions.ts';
import type { HeardNode, NewNodeOrder, NodeOrder, PoolStore } from '../store/pool-store.ts';
import type { NodeSandboxes, NodeView } from './api.ts';
import { nodeSilentMs } from './placement.ts';

/**
 * The nodes as the operator sees and orders them. An order is written first; then what is ready on the node leaves its pools
 * here and now, and the node, which hears of that, ends what has come up since and says so. The call is answered when it has,
 * or when it does not seem to be there: so nothing of it is handed out after the answer (D18), and no claim has to ask.
 */
export class Nodes {
  readonly #store: NodesStore;
  readonly #clock: Clock;

  constructor(deps: { readonly store: NodesStore; readonly clock: Clock }) {
    this.#store = deps.store;
    this.#clock = deps.clock;
  }

  async list(): Promise<readonly NodeView[]> {
    const [heard, orders] = await Promise.all([this.#store.nodes(), this.#store.nodeOrders()]);
    const views = heard.map((node) => viewOf(node, null));
    const there = new Set(heard.map(({ nodeId }) => nodeId));
    for (const [nodeId, order] of orders)
      if (!there.has(nodeId)) views.push(stoppedView(nodeId, order, null));
    return views.sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  async get(nodeId: string): Promise<NodeView> {
    const left = leftOf(await this.#store.inventory(nodeId));
    const heard = (await this.#store.nodes()).find((node) => node.nodeId === nodeId);
    if (heard) return viewOf(heard, left);
    const order = (await this.#store.nodeOrders()).get(nodeId);
    if (order) return stoppedView(nodeId, order, left);
    throw nodeNotFound(nodeId);
  }

  async cordon(nodeId: string): Promise<NodeView> {
    return this.#takeOut(nodeId, { kind: 'cordon' });
  }

  async uncordon(nodeId: string): Promise<NodeView> {
    const before = await this.get(nodeId);
    await this.#store.orderNode(nodeId, null);
    // One that was shut down is known for its order only.
    if (before.state === 'stopped') return { ...before, orderedForMs: null };
    return this.get(nodeId);
  }

  /** `timeoutMs` null: what runs is never ended by this. */
  async drain(nodeId: string, timeoutMs: number | null): Promise<NodeView> {
    if (timeoutMs !== null && timeoutMs > drainTimeoutMsMax) {
      throw invalidRequest([{ field: 'timeout', description: 'is over 7 days' }]);
    }
    return this.#takeOut(nodeId, { kind: 'drain', timeoutMs });
  }

  async #takeOut(nodeId: string, order: NewNodeOrder): Promise<NodeView> {
    if (!(await this.#store.orderNode(nodeId, order))) throw nodeNotFound(nodeId);
    for (const { id, state, claim, incarnation } of await this.#store.inventory(nodeId)) {
      if (claim || (state !== 'ready' && state !== 'starting')) continue;
      // One that is claimed in this moment is fenced off, and goes on.
      await this.#store.beginStop({ id, tenant: null, incarnation }, 'node_drained');
    }
    await this.#obeyed(nodeId, order);
    return this.get(nodeId);
  }

  async #obeyed(nodeId: string, order: NewNodeOrder): Promise<void> {
    const endMs = this.#clock.monotonicMs() + obeyedMsMax;
    while (this.#clock.monotonicMs() < endMs) {
      const node = (await this.#store.nodes()).find((each) => each.nodeId === nodeId);
      if (!node || node.draining || node.heartbeatAgeMs > nodeSilentMs || node.obeys === order.kind) return;
      await pause(this.#clock, lookMs, never);
    }
  }
}

type NodesStore = Pick<PoolStore, 'nodes' | 'nodeOrders' | 'orderNode' | 'inventory' | 'beginStop'>;

function viewOf(node: HeardNode, left: NodeSandboxes | null): NodeView {
  const { nodeId, runtimes, pools, sandboxes, capacity, heartbeatAgeMs, order } = node;
  return {
    ...{ id: nodeId, runtimes, pools, sandboxes, capacity, heartbeatAgeMs, left },
    state: stateOf(node, left === null ? sandboxes : countOf(left)),
    orderedForMs: order?.forMs ?? null,
    drainEndsInMs: order?.kind === 'drain' ? order.endsInMs : null,
  };
}

/** Known for its order only. */
function stoppedView(nodeId: string, order: NodeOrder, left: NodeSandboxes | null): NodeView {
  return {
    ...{ id: nodeId, runtimes: [], pools: [], sandboxes: 0, capacity: 0, heartbeatAgeMs: null, left },
    state: 'stopped',
    orderedForMs: order.forMs,
    drainEndsInMs: order.kind === 'drain' ? order.endsInMs : null,
  };
}

function stateOf(node: HeardNode, leftCount: number): NodeState {
  if (node.lostForMs !== null) return 'lost';
  if (node.heartbeatAgeMs > nodeSilentMs) return 'silent';
  if (node.draining) return 'shutting_down';
  if (node.order === null) return 'active';
  if (node.order.kind === 'cordon') return 'cordoned';
  // Until it says so itself, a boot may be on its way that the store does not show yet.
  return leftCount === 0 && node.obeys === 'drain' ? 'drained' : 'draining';
}

function leftOf(records: readonly SandboxRecord[]): NodeSandboxes {
  const left = { starting: 0, ready: 0, running: 0, stopping: 0 };
  for (const { state } of records) {
    if (state === 'starting' || state === 'ready') left[state] += 1;
    else if (state === 'stopping' || isEnded(state)) left.stopping += 1;
    else left.running += 1;
  }
  return left;
}

function countOf({ starting, ready, running, stopping }: NodeSandboxes): number {
  return starting + ready + running + stopping;
}

function nodeNotFound(nodeId: string): WarmpoolError {
  const id = nodeId.slice(0, 64);
  return new WarmpoolError('NODE_NOT_FOUND', `no node is named "${id}"`, { facts: { node: id } });
}

const never = new AbortController().signal;
/** A living node hears of it within a heartbeat; one that cannot tell is shown as it is. */
const obeyedMsMax = 3_000;
const lookMs = 50;
/** As long as a lease may be. */
const drainTimeoutMsMax = 604_800_000;
