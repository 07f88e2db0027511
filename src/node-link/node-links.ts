import type { Clock } from '../domain/clock.ts';
import type { SandboxRecord } from '../domain/sandbox.ts';
import type { Log } from '../observability/log.ts';
import { HeldBytes } from './held-bytes.ts';
import { NodeLink } from './node-link.ts';
import { type NodeTarget, type NodeTls, nodeUnreachable, otherKey } from './node-socket.ts';

/**
 * The connections of this process to sandboxes of other nodes. They are opened when somebody wants to use one, shared by
 * uses of the same claim, and closed some seconds after the last.
 *
 *   (none) ──enter──▶ opening ──▶ used ──last use leaves──▶ idle ──time, or too many──▶ closed
 *                        │                                   └──enter──▶ used
 *                        └──refused, not open in time, nobody waits any more──▶ (none)
 *
 * Invariants: a link is of one claim; what it opens is within what the node granted that claim. A use has a link to
 * itself as long as there are fewer than `linksOfSandboxMax`, because the windows of one connection add up to a bound; more
 * of them share. What waits for nodes that take nothing has one bound for all links.
 */
export class NodeLinks implements AsyncDisposable {
  readonly #deps: NodeLinksDeps;
  readonly #held: HeldBytes;
  /** By sandbox and claim. */
  readonly #links = new Map<string, Set<SharedLink>>();
  #idle = 0;
  #isClosed = false;

  constructor(deps: NodeLinksDeps) {
    this.#deps = deps;
    this.#held = new HeldBytes(deps.heldBytesMax);
  }

  /** Links that are open or being opened. */
  get size(): number {
    let count = 0;
    for (const links of this.#links.values()) count += links.size;
    return count;
  }

  /**
   * A use of the sandbox of this record, which is claimed. Throws what its node refused with, NODE_UNREACHABLE, or the
   * reason of the signal, as soon as that is aborted.
   */
  async enter(record: SandboxRecord, signal?: AbortSignal): Promise<NodeLinkUse> {
    signal?.throwIfAborted();
    const key = `${record.id} ${record.claim?.claimId}`;
    const shared = leastUsed(this.#links.get(key)) ?? this.#dial(key, record);
    shared.uses += 1;
    shared.cancelIdle();
    try {
      const link = signal ? await orAborted(shared.opening, signal) : await shared.opening;
      return {
        guest: link,
        lost: () => ({
          reason: link.endingReason === 'node_drained' ? 'node_drained' : 'link_lost',
          failed: true,
        }),
        leave: once(() => this.#leave(shared, link)),
      };
    } catch (error) {
      if (shared.link !== null) this.#leave(shared, shared.link);
      else this.#leaveOpening(shared);
      if (error instanceof Error && error.message.includes(otherKey)) {
        this.#deps.log.error({ node: record.nodeId, why: otherKey }, 'a node cannot be used');
      }
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    const all = [...this.#links.values()].flatMap((links) => [...links]);
    for (const shared of all) {
      shared.cancelIdle();
      shared.giveUp(new Error('this process is being shut down'));
      await shared.opening.then(
        (link) => link.close(),
        () => {},
      );
    }
  }

  async #targetOf(record: SandboxRecord): Promise<NodeTarget> {
    const { id: sandboxId, nodeId, claim } = record;
    const { addressOf, tokenFor, tls } = this.#deps;
    const baseUrl = await addressOf(nodeId);
    if (baseUrl === null || claim === undefined || this.#isClosed) {
      const why = this.#isClosed
        ? 'this process is being shut down'
        : 'its node has not said by which address it is reached (WARMPOOL_NODE_URL)';
      throw nodeUnreachable({ nodeId, sandboxId }, why);
    }
    const token = tokenFor({ tenant: claim.tenant, claimId: claim.claimId });
    return { nodeId, sandboxId, baseUrl, token, tls };
  }

  /** Known at once, so that whoever comes while it is being opened sees it. */
  #dial(key: string, record: SandboxRecord): SharedLink {
    const { clock, log } = this.#deps;
    const links = this.#links.get(key) ?? new Set<SharedLink>();
    this.#links.set(key, links);
    const over = new AbortController();
    const { nodeId, id: sandboxId } = record;
    const cancel = clock.after(openMsMax, () => {
      const why = `a connection to its node was not open within ${openMsMax / 1_000} s`;
      over.abort(nodeUnreachable({ nodeId, sandboxId }, why));
    });
    const opening = orAborted(this.#targetOf(record), over.signal)
      .then((target) => NodeLink.open({ clock, log, held: this.#held }, target, over.signal))
      .finally(cancel);
    const shared: SharedLink = {
      opening,
      link: null,
      uses: 0,
      cancelIdle: () => {},
      giveUp(why) {
        gone();
        over.abort(why);
      },
    };
    links.add(shared);
    const gone = () => {
      shared.cancelIdle();
      links.delete(shared);
      if (links.size === 0 && this.#links.get(key) === links) this.#links.delete(key);
    };
    opening
      .then((link) => {
        shared.link = link;
        // Given up in the moment in which it opened.
        if (over.signal.aborted) link.close();
        return link.closed;
      })
      .then(gone, gone);
    return shared;
  }

  /** Whoever was to use it waits no longer; the last one takes it with him. */
  #leaveOpening(shared: SharedLink): void {
    shared.uses -= 1;
    if (shared.uses === 0) shared.giveUp(new Error('nobody waits for it any more'));
  }

  #leave(shared: SharedLink, link: NodeLink): void {
    shared.uses -= 1;
    if (shared.uses > 0 || link.isClosed) return;
    if (this.#idle >= idleLinksMax || this.#isClosed) {
      link.close();
      return;
    }
    this.#idle += 1;
    const cancel = this.#deps.clock.after(idleMs, () => link.close());
    shared.cancelIdle = once(() => {
      this.#idle -= 1;
      cancel();
    });
  }
}

export interface NodeLinksDeps {
  readonly clock: Clock;
  readonly log: Log;
  /** Where a node takes connections of other processes; null: it has not said. */
  readonly addressOf: (nodeId: string) => Promise<string | null>;
  /** What opens them: good for one claim, and for a short time. */
  readonly tokenFor: (claim: { readonly tenant: string; readonly claimId: string }) => string;
  /** For nodes that are reached by `wss://`. */
  readonly tls: NodeTls;
  /** Absent: what is meant for a service. */
  readonly heldBytesMax?: number;
}

/** One use of a guest elsewhere. */
export interface NodeLinkUse {
  readonly guest: NodeLink;
  /** How it ended for those who use it, once `guest.closed` has settled. */
  lost(): { readonly reason: string; readonly failed: boolean };
  leave(): void;
}

interface SharedLink {
  readonly opening: Promise<NodeLink>;
  /** null: not open yet. */
  link: NodeLink | null;
  uses: number;
  cancelIdle: () => void;
  /** Before it is open. */
  giveUp(why: Error): void;
}

/** null: one more is better. */
function leastUsed(links: ReadonlySet<SharedLink> = new Set()): SharedLink | null {
  const good = [...links].filter(({ link }) => link?.isClosed !== true);
  const [first, ...rest] = good;
  if (first === undefined) return null;
  const least = rest.reduce((least, each) => (each.uses < least.uses ? each : least), first);
  return least.uses === 0 || good.length >= linksOfSandboxMax ? least : null;
}

/** What is promised, or the reason of the signal if that comes first. */
function orAborted<T>(promised: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    promised.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

function once(run: () => void): () => void {
  let done = false;
  return () => {
    if (done) return;
    done = true;
    run();
  };
}

/** Of the 64 that a node lets in for one sandbox, so that several allocators and direct clients have room. */
const linksOfSandboxMax = 8;
/** Commands of one agent follow each other within seconds; a link that is kept costs the node a socket. */
const idleMs = 10_000;
const idleLinksMax = 1_024;
/** From asking where the node is to its Ready, with a second try: whoever waits for it is told in time to try again. */
const openMsMax = 10_000;
