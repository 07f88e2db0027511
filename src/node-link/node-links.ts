import type { Clock } from '../domain/clock.ts';
import type { SandboxRecord } from '../domain/sandbox.ts';
import type { Log } from '../observability/log.ts';
import { NodeLink } from './node-link.ts';
import { type NodeTarget, nodeUnreachable, otherKey } from './node-socket.ts';

/**
 * The connections of this process to sandboxes of other nodes. They are opened when somebody wants to use one, shared by
 * uses of the same claim, and closed some seconds after the last.
 *
 *   (none) ──enter──▶ opening ──▶ used ──last use leaves──▶ idle ──time, or too many──▶ closed
 *                        └──refused──▶ (none)                └──enter──▶ used
 *
 * Invariants: a link is of one claim; what it opens is within what the node granted that claim. A use has a link to
 * itself as long as there are fewer than `linksOfSandboxMax`, because the windows of one connection add up to a bound; more
 * of them share.
 */
export class NodeLinks implements AsyncDisposable {
  readonly #deps: NodeLinksDeps;
  /** By sandbox and claim. */
  readonly #links = new Map<string, Set<SharedLink>>();
  #idle = 0;
  #isClosed = false;

  constructor(deps: NodeLinksDeps) {
    this.#deps = deps;
  }

  /** Links that are open or being opened. */
  get size(): number {
    let count = 0;
    for (const links of this.#links.values()) count += links.size;
    return count;
  }

  /** A use of the sandbox of this record, which is claimed. Throws what its node refused with, or NODE_UNREACHABLE. */
  async enter(record: SandboxRecord): Promise<NodeLinkUse> {
    const key = `${record.id} ${record.claim?.claimId}`;
    const shared = leastUsed(this.#links.get(key)) ?? this.#dial(key, record);
    shared.uses += 1;
    shared.cancelIdle();
    try {
      const link = await shared.opening;
      return {
        guest: link,
        lost: () => ({
          reason: link.endingReason === 'node_drained' ? 'node_drained' : 'link_lost',
          failed: true,
        }),
        leave: once(() => this.#leave(shared, link)),
      };
    } catch (error) {
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
      await shared.opening.then(
        (link) => link.close(),
        () => {},
      );
    }
  }

  async #targetOf(record: SandboxRecord): Promise<NodeTarget> {
    const { id: sandboxId, nodeId, claim } = record;
    const { addressOf, tokenFor, ca } = this.#deps;
    const baseUrl = await addressOf(nodeId);
    if (baseUrl === null || claim === undefined || this.#isClosed) {
      const why = this.#isClosed
        ? 'this process is being shut down'
        : 'its node has not said by which address it is reached (WARMPOOL_NODE_URL)';
      throw nodeUnreachable({ nodeId, sandboxId }, why);
    }
    const token = tokenFor({ tenant: claim.tenant, claimId: claim.claimId });
    return { nodeId, sandboxId, baseUrl, token, ...(ca !== null && { ca }) };
  }

  /** Known at once, so that whoever comes while it is being opened sees it. */
  #dial(key: string, record: SandboxRecord): SharedLink {
    const links = this.#links.get(key) ?? new Set<SharedLink>();
    this.#links.set(key, links);
    const opening = this.#targetOf(record).then((target) => NodeLink.open(this.#deps, target));
    const shared: SharedLink = { opening, link: null, uses: 0, cancelIdle: () => {} };
    links.add(shared);
    const gone = () => {
      shared.cancelIdle();
      links.delete(shared);
      if (links.size === 0 && this.#links.get(key) === links) this.#links.delete(key);
    };
    opening
      .then((link) => {
        shared.link = link;
        return link.closed;
      })
      .then(gone, gone);
    return shared;
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
  /** Certificates in PEM that are trusted in place of the system's; null: the system's. */
  readonly ca: string | null;
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
}

/** null: one more is better. */
function leastUsed(links: ReadonlySet<SharedLink> = new Set()): SharedLink | null {
  const good = [...links].filter(({ link }) => link?.isClosed !== true);
  const [first, ...rest] = good;
  if (first === undefined) return null;
  const least = rest.reduce((least, each) => (each.uses < least.uses ? each : least), first);
  return least.uses === 0 || good.length >= linksOfSandboxMax ? least : null;
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
