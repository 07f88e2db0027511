import type { Clock } from '../domain/clock.ts';
import type { EndReason, SandboxRecord } from '../domain/sandbox.ts';
import { isEnded } from '../domain/transitions.ts';
import type { Log } from '../observability/log.ts';
import type { HeardNode, PoolStore } from '../store/pool-store.ts';

/**
 * Ends what was on a node that is not heard of any more: its ready and starting sandboxes leave their pools, its claimed ones
 * fail, and their owners are told why. Any number of these may run; each step checks in the store what it acts on (D4).
 *
 * What counts as evidence: the node's last heartbeat is older than the timeout by the store's clock, in the step that
 * declares it lost; and by this process's own clock it has looked the whole time, found that heartbeat and no other, and the
 * store was healthy and the same for two timeouts before, and took writes all the while: one without its replicas, or with a
 * full disk, answers questions and refuses heartbeats. So a store that was away or put back, a jump of its clock, or a stall
 * of this process costs time and no sandbox (I10); and a list that lacks a node says nothing about it (I11).
 *
 * The records stay with the node, failed, until it comes back and removes the objects: the end that the owner was told
 * of stands against what the node's journal says. After `forgottenAfterMs` they are let go of, and so is the node.
 *
 * Turned down: a lock, so that one process does all of it. It would have to be taken from a dead one by the same evidence.
 * Instead whoever declares a node lost is left alone for a moment, and the others come after it.
 */
export class LostNodes {
  readonly #deps: LostNodesDeps;
  readonly #timeoutMs: number;
  #watched: ReadonlyMap<string, Watched> = new Map();
  #lookedAtMs = Number.NEGATIVE_INFINITY;

  constructor(deps: LostNodesDeps, options: { readonly nodeTimeoutMs: number }) {
    this.#deps = deps;
    this.#timeoutMs = options.nodeTimeoutMs;
  }

  /** To be called about once a second. */
  async pass(): Promise<void> {
    const { store, clock } = this.#deps;
    if (!this.#storeIsTrusted()) {
      this.#watched = new Map();
      // Being asked is how it becomes healthy again.
      await store.nodes();
      return;
    }
    const askedAtMs = clock.monotonicMs();
    const nodes = await store.nodes();
    // The question may have waited for a server that is another one now.
    if (!this.#storeIsTrusted()) return;
    this.#watch(nodes, askedAtMs);
    await this.#tryWriting(askedAtMs);
    for (const node of nodes) {
      const watched = this.#watched.get(node.nodeId);
      if (!watched || node.heartbeatAgeMs < this.#timeoutMs) continue;
      if (askedAtMs - watched.sinceMs >= this.#timeoutMs) await this.#lose(node, watched);
    }
  }

  #storeIsTrusted(): boolean {
    const { healthy, sinceMs } = this.#deps.store.health();
    return healthy && this.#deps.clock.monotonicMs() - sinceMs >= 2 * this.#timeoutMs;
  }

  #watch(nodes: readonly HeardNode[], askedAtMs: number): void {
    const nowMs = this.#deps.clock.monotonicMs();
    const wasAway = nowMs - this.#lookedAtMs > lookGapMsMax;
    this.#lookedAtMs = nowMs;
    this.#watched = new Map(
      nodes.map(({ nodeId, heartbeatAtMs }) => {
        const before = wasAway ? undefined : this.#watched.get(nodeId);
        const isSilent = before?.heartbeatAtMs === heartbeatAtMs;
        return [nodeId, isSilent ? before : { heartbeatAtMs, sinceMs: nowMs, lookAgainAtMs: askedAtMs }];
      }),
    );
  }

  /** Throws, and begins to watch anew, when the store takes no writes: then it had no heartbeats to take either. */
  async #tryWriting(askedAtMs: number): Promise<void> {
    const isSilent = ([, { sinceMs }]: [string, Watched]) => askedAtMs - sinceMs >= lookGapMsMax;
    const [nodeId] = [...this.#watched].find(isSilent) ?? [];
    if (nodeId === undefined) return;
    try {
      // Of so long a silence nothing can be lost, but the step is refused where a heartbeat would be.
      await this.#deps.store.declareLost(nodeId, Number.MAX_SAFE_INTEGER);
    } catch (error) {
      this.#watched = new Map();
      throw error;
    }
  }

  async #lose(node: HeardNode, watched: Watched): Promise<void> {
    const { store, clock, observer, log } = this.#deps;
    const { nodeId } = node;
    if (clock.monotonicMs() < watched.lookAgainAtMs) return;
    const answer = await store.declareLost(nodeId, this.#timeoutMs);
    if (answer.kind !== 'lost') return;
    if (answer.first) {
      observer.nodeLost();
      log.error({ node: nodeId, silentMs: node.heartbeatAgeMs }, 'a node is lost; what was on it has failed');
    } else if ((node.lostForMs ?? 0) < othersTurnMs) return;
    if (await this.#endAll(nodeId)) watched.lookAgainAtMs = clock.monotonicMs() + lookAgainMs;
    if (node.heartbeatAgeMs >= forgottenAfterMs) await this.#forget(nodeId);
  }

  /** Whether nothing is left to end. */
  async #endAll(nodeId: string): Promise<boolean> {
    const left = (await this.#deps.store.inventory(nodeId)).filter(({ state }) => !isEnded(state));
    // What could still be handed out goes first.
    const inOrder = [...left].sort((a, b) => urgency(a) - urgency(b));
    for (let at = 0; at < inOrder.length; at += stepsAtOnce) {
      await Promise.all(inOrder.slice(at, at + stepsAtOnce).map((record) => this.#end(record)));
    }
    return left.length === 0;
  }

  /** One that was claimed in between is named again by the next look. */
  async #end(record: SandboxRecord): Promise<void> {
    const { store, observer } = this.#deps;
    const { id, nodeId, incarnation, state, endReason } = record;
    // Whoever wanted it gone is told that it is, and why it was on its way out.
    const reason = state === 'stopping' && endReason ? endReason : 'node_lost';
    const failure = `node "${nodeId}" was lost: it was not heard of for ${this.#timeoutMs / 1_000} s`;
    const answer = await store.reportFailed({ id, nodeId, incarnation }, reason, failure);
    if (answer.kind === 'done' && reason === 'node_lost') observer.sandboxEnded(reason);
  }

  async #forget(nodeId: string): Promise<void> {
    const { store, log } = this.#deps;
    for (const { id, incarnation } of await store.inventory(nodeId))
      await store.finishStop({ id, nodeId, incarnation });
    await store.removeNode(nodeId, forgottenAfterMs);
    log.warn({ node: nodeId }, 'a lost node has not come back, and is forgotten');
  }
}

export interface LostNodesDeps {
  readonly store: Pick<
    PoolStore,
    'nodes' | 'declareLost' | 'inventory' | 'reportFailed' | 'finishStop' | 'removeNode' | 'health'
  >;
  readonly clock: Clock;
  readonly observer: { sandboxEnded(reason: EndReason): void; nodeLost(): void };
  readonly log: Log;
}

/** One heartbeat, and since when there was no other: on this process's own clock. */
interface Watched {
  readonly heartbeatAtMs: number;
  readonly sinceMs: number;
  /** There is nothing left to do about it before. */
  lookAgainAtMs: number;
}

function urgency({ state }: SandboxRecord): number {
  if (state === 'ready') return 0;
  return state === 'starting' ? 1 : 2;
}

/** Three passes: whoever looked away for longer has not seen what came in between. */
const lookGapMsMax = 3_000;
/** As long as it takes to end what a large node has. */
const othersTurnMs = 5_000;
/** Cold starts that were placed on it by an old list. */
const lookAgainMs = 15_000;
const stepsAtOnce = 32;
/** A host that is repaired within a day finds its records, and removes what is left on it. */
const forgottenAfterMs = 86_400_000;
