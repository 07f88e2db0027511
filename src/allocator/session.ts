import type { Clock } from '../domain/clock.ts';
import { WarmpoolError } from '../domain/errors.ts';
import { isSandboxId } from '../domain/ids.ts';
import type { PoolCatalog } from '../domain/pool-catalog.ts';
import type { SandboxRecord } from '../domain/sandbox.ts';
import type { Guest } from '../guest-link/guest.ts';
import type { PoolStore } from '../store/pool-store.ts';
import type { TransitionFeed } from '../store/transition-feed.ts';
import type { ExecDefaults, SandboxSession, SessionGrant, SessionLease, SessionListener } from './api.ts';
import { completeExec, completeFiles } from './command-defaults.ts';
import { type LeasedRecord, OpenSandbox } from './open-sandbox.ts';
import { readOwned, type Vouch } from './read-owned.ts';
import { requireRunning, sandboxNotFound, unreachable } from './require-running.ts';
import { assertRenewal } from './validation.ts';

/**
 * Opens sessions, and keeps what the sessions of one sandbox share for as long as there are any. One listener at the
 * feed serves them all; no session polls.
 */
export class Sessions {
  readonly #deps: SessionsDeps;
  readonly #open = new Map<string, OpenSandbox>();
  /** Guests whose loss is watched for: once each, however many sessions come and go. */
  readonly #watched = new WeakSet<Guest>();

  constructor(deps: SessionsDeps) {
    this.#deps = deps;
    deps.feed.listen({
      heard: (event) => this.#open.get(event.id)?.heard(event),
      missed: () => void this.#lookAtAll(),
    });
  }

  async open(grant: SessionGrant, sandboxId: string): Promise<SandboxSession> {
    const { clock, guestOf } = this.#deps;
    if (!isSandboxId(sandboxId)) throw sandboxNotFound(sandboxId);
    const askedAtMs = clock.monotonicMs();
    const record = requireLeased(await readOwned(this.#deps, sandboxId, grant.tenant), sandboxId);
    if (grant.claimId !== undefined && grant.claimId !== record.claim.claimId) {
      throw new WarmpoolError('PERMISSION_DENIED', 'the token was given out for another claim', {
        facts: { sandbox: sandboxId },
      });
    }
    const guest = guestOf(record);
    if (!guest) throw unreachable(record);
    const sandbox = this.#sandboxOf(record, guest, askedAtMs);
    return new OpenSession(sandbox, record, this.#deps.catalog);
  }

  /** Somebody of this process has renewed a lease. */
  renewed(record: SandboxRecord, askedAtMs: number): void {
    this.#open.get(record.id)?.seen(record, askedAtMs);
  }

  #sandboxOf(record: LeasedRecord, guest: Guest, askedAtMs: number): OpenSandbox {
    const known = this.#open.get(record.id);
    // A sandbox whose link was lost may be back over another one.
    if (known && known.guest === guest && !known.ended) {
      known.seen(record, askedAtMs);
      return known;
    }
    const { store, vouch, clock } = this.#deps;
    const onIdle = (idle: OpenSandbox) => {
      if (this.#open.get(record.id) === idle) this.#open.delete(record.id);
    };
    const sandbox = new OpenSandbox({ store, vouch, clock, onIdle }, record, guest, askedAtMs);
    this.#open.set(record.id, sandbox);
    this.#watch(record.id, guest);
    return sandbox;
  }

  #watch(sandboxId: string, guest: Guest): void {
    if (this.#watched.has(guest)) return;
    this.#watched.add(guest);
    void guest.closed.then(() => {
      const sandbox = this.#open.get(sandboxId);
      if (sandbox?.guest === guest) void sandbox.linkLost();
    });
  }

  async #lookAtAll(): Promise<void> {
    for (const sandbox of [...this.#open.values()]) await sandbox.look();
  }
}

export interface SessionsDeps {
  readonly store: Pick<PoolStore, 'get' | 'renew'>;
  readonly catalog: PoolCatalog;
  readonly feed: TransitionFeed;
  readonly clock: Clock;
  readonly vouch: Vouch;
  /**
   * The link to a sandbox's guest, for the claim of this record to use; null when its node is not this process. Throws
   * when the node has the sandbox as another claim's (D7).
   */
  readonly guestOf: (record: SandboxRecord) => Guest | null;
}

/** One client's use of an open sandbox. */
class OpenSession implements SandboxSession {
  readonly record: SandboxRecord;
  readonly guest: Guest;
  readonly #sandbox: OpenSandbox;
  readonly #catalog: PoolCatalog;
  readonly #leave: () => void;
  #stopListening: () => void = () => {};
  #isClosed = false;

  constructor(sandbox: OpenSandbox, record: SandboxRecord, catalog: PoolCatalog) {
    this.record = record;
    this.guest = sandbox.guest;
    this.#sandbox = sandbox;
    this.#catalog = catalog;
    this.#leave = sandbox.enter();
  }

  completeExec(request: ExecDefaults): Required<ExecDefaults> {
    return completeExec(this.#catalog, this.record, request);
  }

  completeFiles(request: Omit<ExecDefaults, 'env'>): Required<Omit<ExecDefaults, 'env'>> {
    return completeFiles(this.#catalog, this.record, request);
  }

  lease(): SessionLease {
    return this.#sandbox.lease();
  }

  async keepAlive(ttlMs: number | null): Promise<SessionLease> {
    if (ttlMs !== null) assertRenewal('ttl', ttlMs);
    return this.#sandbox.renew(ttlMs);
  }

  used(): void {
    if (!this.#isClosed) this.#sandbox.used();
  }

  watch(listener: SessionListener): void {
    if (this.#isClosed) return;
    this.#stopListening();
    this.#stopListening = this.#sandbox.listen(listener);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#stopListening();
    this.#leave();
  }
}

function requireLeased(record: SandboxRecord | null, id: string): LeasedRecord {
  const { claim, lease, ...rest } = requireRunning(record, id);
  // What runs is claimed and has a lease: the store writes them in one step.
  if (!claim || !lease) throw sandboxNotFound(id);
  return { ...rest, claim, lease };
}
