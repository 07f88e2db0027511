import { shardOfSandbox } from '../../domain/ids.ts';
import { endedRecordMs, expiredRecordMs } from '../../domain/limits.ts';
import { isExpiry } from '../../domain/sandbox.ts';
import { isEnded } from '../../domain/transitions.ts';
import type { PagePosition } from '../page-token.ts';
import type { MemoryClaim, MemorySandbox } from './memory-sandbox.ts';

/**
 * All records of the memory store, with the indexes by owner and by node. A record is in both until it was let go;
 * then it can still be read for a while, and is forgotten by whoever looks next.
 */
export class MemorySandboxes {
  readonly #byId = new Map<string, MemorySandbox>();
  readonly #owned = new Map<string, Set<MemorySandbox>>();
  readonly #placed = new Map<string, Set<MemorySandbox>>();
  /** Each in the order in which they were let go, which is the order in which they are forgotten. */
  readonly #letGo = { ended: new Set<MemorySandbox>(), expired: new Set<MemorySandbox>() };
  #claims = 0;

  find(id: string, nowMs: number): MemorySandbox | undefined {
    for (const letGo of [this.#letGo.ended, this.#letGo.expired]) {
      for (const sandbox of letGo) {
        if ((sandbox.forgetAtMs ?? 0) > nowMs) break;
        letGo.delete(sandbox);
        this.#byId.delete(sandbox.id);
      }
    }
    return this.#byId.get(id);
  }

  add(sandbox: MemorySandbox): void {
    this.#byId.set(sandbox.id, sandbox);
    addTo(this.#placed, sandbox.nodeId, sandbox);
  }

  own(sandbox: MemorySandbox, claim: Omit<MemoryClaim, 'order'>): void {
    this.#claims += 1;
    sandbox.claim = { ...claim, order: this.#claims };
    addTo(this.#owned, claim.tenant, sandbox);
  }

  /** As if it had never been. */
  remove(sandbox: MemorySandbox): void {
    this.#byId.delete(sandbox.id);
    removeFrom(this.#placed, sandbox.nodeId, sandbox);
    if (sandbox.claim !== undefined) removeFrom(this.#owned, sandbox.claim.tenant, sandbox);
  }

  letGo(sandbox: MemorySandbox, nowMs: number): void {
    if (sandbox.forgetAtMs !== undefined) return;
    const expired = isExpiry(sandbox.endReason);
    sandbox.forgetAtMs = nowMs + (expired ? expiredRecordMs : endedRecordMs);
    this.#letGo[expired ? 'expired' : 'ended'].add(sandbox);
    removeFrom(this.#placed, sandbox.nodeId, sandbox);
    if (sandbox.claim !== undefined) removeFrom(this.#owned, sandbox.claim.tenant, sandbox);
  }

  /** Before its time, if it was let go. */
  forget(sandbox: MemorySandbox): void {
    if (sandbox.forgetAtMs === undefined) return;
    for (const letGo of Object.values(this.#letGo)) letGo.delete(sandbox);
    this.#byId.delete(sandbox.id);
  }

  /** Ids of a pool's sandboxes that have not ended; looks at all of them. */
  liveOf(pool: string): readonly string[] {
    return [...this.#byId.values()]
      .filter((sandbox) => sandbox.pool === pool && !isEnded(sandbox.state))
      .map(({ id }) => id);
  }

  placedOn(nodeId: string): readonly MemorySandbox[] {
    return [...(this.#placed.get(nodeId) ?? [])].sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  countOwned(tenant: string, isCounted: (sandbox: MemorySandbox) => boolean): number {
    let count = 0;
    for (const sandbox of this.#owned.get(tenant) ?? []) if (isCounted(sandbox)) count += 1;
    return count;
  }

  /** In the order of the listing: shards upwards, each from new to old; only what comes after the position. */
  ownedBy(
    tenant: string,
    after: PagePosition | null,
  ): readonly (PagePosition & { readonly sandbox: MemorySandbox })[] {
    return [...(this.#owned.get(tenant) ?? [])]
      .map((sandbox) => ({
        sandbox,
        id: sandbox.id,
        shard: shardOfSandbox(sandbox.id),
        order: sandbox.claim?.order ?? 0,
      }))
      .filter((place) => after === null || isBeyond(place, after))
      .sort((a, b) => a.shard - b.shard || b.order - a.order);
  }
}

function isBeyond(place: PagePosition, after: PagePosition): boolean {
  return place.shard > after.shard || (place.shard === after.shard && place.order < after.order);
}

function addTo(index: Map<string, Set<MemorySandbox>>, key: string, sandbox: MemorySandbox): void {
  const members = index.get(key);
  if (members === undefined) index.set(key, new Set([sandbox]));
  else members.add(sandbox);
}

function removeFrom(index: Map<string, Set<MemorySandbox>>, key: string, sandbox: MemorySandbox): void {
  const members = index.get(key);
  members?.delete(sandbox);
  if (members?.size === 0) index.delete(key);
}
