import type { Clock } from '../domain/clock.ts';
import { WarmpoolError } from '../domain/errors.ts';
import { isSandboxId } from '../domain/ids.ts';
import type { PoolCatalog } from '../domain/pool-catalog.ts';
import type { SandboxRecord } from '../domain/sandbox.ts';
import type { PoolStore } from '../store/pool-store.ts';
import type { TransitionFeed } from '../store/transition-feed.ts';
import type {
  AllocatorApi,
  ExecDefaults,
  SandboxSession,
  SessionGrant,
  SessionLease,
  SessionListener,
} from './api.ts';
import { completeExec, completeFiles } from './command-defaults.ts';
import { abortError } from './create-sandbox.ts';
import { type GuestAccess, type GuestUse, useGuest } from './guest-use.ts';
import { type LeasedRecord, OpenSandbox, type SandboxEnd } from './open-sandbox.ts';
import { readOwned, type Vouch } from './read-owned.ts';
import { requireRunning, sandboxNotFound } from './require-running.ts';
import { assertRenewal } from './validation.ts';

/**
 * Opens sessions, and keeps what the sessions of one sandbox share for as long as there are any. One listener at the
 * feed serves them all; no session polls.
 */
export class Sessions implements Pick<AllocatorApi, 'openSession'> {
  readonly #deps: SessionsDeps;
  readonly #open = new Map<string, OpenSandbox>();
  /** The sessions of each link. Its loss is watched for once, however many of them come and go. */
  readonly #byGuest = new WeakMap<GuestUse['guest'], Set<OpenSession>>();

  constructor(deps: SessionsDeps) {
    this.#deps = deps;
    deps.feed.listen({
      heard: (event) => this.#open.get(event.id)?.heard(event),
      missed: () => void this.#lookAtAll(),
    });
  }

  async openSession(grant: SessionGrant, sandboxId: string, signal?: AbortSignal): Promise<SandboxSession> {
    const { clock } = this.#deps;
    if (!isSandboxId(sandboxId)) throw sandboxNotFound(sandboxId);
    const askedAtMs = clock.monotonicMs();
    const record = requireLeased(await this.#readGranted(grant, sandboxId), sandboxId);
    if (grant.claimId !== undefined && grant.claimId !== record.claim.claimId) {
      throw new WarmpoolError('PERMISSION_DENIED', 'the token was given out for another claim', {
        facts: { sandbox: sandboxId },
      });
    }
    // Another process of the service has come here because this node has it: it is not sent on.
    const access = grant.hop ? { guestOf: this.#deps.guestOf } : this.#deps;
    const use = await useGuest(access, record, signal).catch((error: unknown) => {
      throw signal?.aborted ? abortError(signal) : error;
    });
    const sandbox = this.#sandboxOf(record, askedAtMs);
    const { catalog } = this.#deps;
    const session = new OpenSession({ sandbox, catalog, use }, record, { extendsLease: !grant.hop });
    this.#watchLink(session, use);
    return session;
  }

  /** Where the store names another claim of the same tenant, the node has its say as well: the store may have lost this one. */
  async #readGranted({ tenant, claimId }: SessionGrant, sandboxId: string): Promise<SandboxRecord | null> {
    const record = await readOwned(this.#deps, sandboxId, tenant);
    if (claimId === undefined || claimId === record?.claim?.claimId) return record;
    return record !== null && (await this.#deps.vouch(sandboxId, tenant))
      ? readOwned(this.#deps, sandboxId, tenant)
      : record;
  }

  /** Somebody of this process has renewed a lease. */
  renewed(record: SandboxRecord, askedAtMs: number): void {
    this.#open.get(record.id)?.seen(record, askedAtMs);
  }

  #sandboxOf(record: LeasedRecord, askedAtMs: number): OpenSandbox {
    const known = this.#open.get(record.id);
    if (known && known.claimId === record.claim.claimId && !known.ended) {
      known.seen(record, askedAtMs);
      return known;
    }
    const { store, vouch, clock } = this.#deps;
    const onIdle = (idle: OpenSandbox) => {
      if (this.#open.get(record.id) === idle) this.#open.delete(record.id);
    };
    const sandbox = new OpenSandbox({ store, vouch, clock, onIdle }, record, askedAtMs);
    this.#open.set(record.id, sandbox);
    return sandbox;
  }

  #watchLink(session: OpenSession, { guest }: GuestUse): void {
    let sessions = this.#byGuest.get(guest);
    if (sessions === undefined) {
      const ofGuest = new Set<OpenSession>();
      sessions = ofGuest;
      this.#byGuest.set(guest, ofGuest);
      void guest.closed.then(() => {
        for (const each of [...ofGuest]) void each.linkLost();
      });
    }
    const ofGuest = sessions;
    ofGuest.add(session);
    session.onClosed(() => ofGuest.delete(session));
  }

  async #lookAtAll(): Promise<void> {
    for (const sandbox of [...this.#open.values()]) await sandbox.look();
  }
}

export interface SessionsDeps extends GuestAccess {
  readonly store: Pick<PoolStore, 'get' | 'renew'>;
  readonly catalog: PoolCatalog;
  readonly feed: TransitionFeed;
  readonly clock: Clock;
  readonly vouch: Vouch;
}

/** One client's use of an open sandbox. It ends with the sandbox, or with the link that it goes over. */
class OpenSession implements SandboxSession {
  readonly record: SandboxRecord;
  readonly guest: GuestUse['guest'];
  readonly #sandbox: OpenSandbox;
  readonly #catalog: PoolCatalog;
  readonly #use: GuestUse;
  readonly #extendsLease: boolean;
  readonly #leave: () => void;
  #stopListening: () => void = () => {};
  #forget: () => void = () => {};
  #listener: SessionListener | null = null;
  #lost: SandboxEnd | null = null;
  #isClosed = false;

  constructor(
    deps: { readonly sandbox: OpenSandbox; readonly catalog: PoolCatalog; readonly use: GuestUse },
    record: SandboxRecord,
    options: { readonly extendsLease: boolean },
  ) {
    this.record = record;
    this.guest = deps.use.guest;
    this.#sandbox = deps.sandbox;
    this.#catalog = deps.catalog;
    this.#use = deps.use;
    this.#extendsLease = options.extendsLease;
    this.#leave = deps.sandbox.enter();
  }

  onClosed(forget: () => void): void {
    this.#forget = forget;
  }

  /** The guest cannot be reached over this link any more. */
  async linkLost(): Promise<void> {
    // A sandbox that is deleted loses its link as well, and the reason is the store's to tell.
    if (!this.#sandbox.ended) await this.#sandbox.look();
    if (this.#sandbox.ended || this.#lost) return;
    this.#lost = this.#use.lost();
    this.#stopListening();
    this.#listener?.onEnd(this.#lost);
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
    if (!this.#isClosed && this.#extendsLease) this.#sandbox.used();
  }

  watch(listener: SessionListener): void {
    if (this.#isClosed) return;
    this.#stopListening();
    this.#listener = listener;
    if (this.#lost) listener.onEnd(this.#lost);
    else this.#stopListening = this.#sandbox.listen(listener);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#listener = null;
    this.#stopListening();
    this.#forget();
    this.#leave();
    this.#use.leave();
  }
}

function requireLeased(record: SandboxRecord | null, id: string): LeasedRecord {
  const { claim, lease, ...rest } = requireRunning(record, id);
  // What runs is claimed and has a lease: the store writes them in one step.
  if (!claim || !lease) throw sandboxNotFound(id);
  return { ...rest, claim, lease };
}
