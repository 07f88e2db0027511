import type { Clock } from '../domain/clock.ts';
import { expiryWarningMs } from '../domain/expiry-warning.ts';
import type { Lease, SandboxRecord } from '../domain/sandbox.ts';
import type { PoolStore, StoreEvent } from '../store/pool-store.ts';
import type { SessionLease, SessionListener } from './api.ts';
import type { Vouch } from './read-owned.ts';
import { refusalError } from './require-running.ts';

/** How a sandbox ends for those who use it. */
export type SandboxEnd = Parameters<SessionListener['onEnd']>[0];

/**
 * A claimed sandbox while somebody in this process has a session on it: what all its sessions share. It owns the view of
 * the lease (the store's last answer, counted down by the monotonic clock) and the listeners.
 *
 *   open ──an event of its end──▶ ended        open ──last listener gone──▶ idle
 *
 * Invariants: listeners hear of the end once, and of this claim's end only, where the store has given the sandbox to
 * another one by mistake; a store that has lost the record ends nothing, the loss of a link does, which is its sessions'
 * matter; the store is never asked on a session's behalf but for a renewal, one look shortly before the lease is about to
 * run out (somebody in another process may have renewed it), and one when a link drops, to know why.
 */
export class OpenSandbox {
  readonly record: SandboxRecord;
  readonly #deps: OpenSandboxDeps;
  readonly #tenant: string;
  readonly #claimId: string;
  readonly #listeners = new Set<SessionListener>();
  #lease: Lease;
  #leaseAtMs: number;
  /** When the lease was last extended, as far as is known, or tried to be. */
  #renewedAtMs: number;
  #end: SandboxEnd | null = null;
  #cancelLook: () => void = () => {};
  #looking: Promise<void> | null = null;
  #users = 0;

  /** `record` is running and claimed, and was asked for at `askedAtMs`. */
  constructor(deps: OpenSandboxDeps, record: LeasedRecord, askedAtMs: number) {
    this.#deps = deps;
    this.record = record;
    this.#tenant = record.claim.tenant;
    this.#claimId = record.claim.claimId;
    this.#lease = record.lease;
    this.#leaseAtMs = askedAtMs;
    this.#renewedAtMs = askedAtMs - Math.max(0, record.lease.ttlMs - record.lease.remainingMs);
  }

  get ended(): boolean {
    return this.#end !== null;
  }

  get claimId(): string {
    return this.#claimId;
  }

  /** A session begins; the returned function, called once, ends it. */
  enter(): () => void {
    this.#users += 1;
    if (this.#users === 1) this.#planLook();
    return () => {
      this.#users -= 1;
      if (this.#users > 0) return;
      this.#cancelLook();
      this.#deps.onIdle(this);
    };
  }

  listen(listener: SessionListener): () => void {
    this.#listeners.add(listener);
    if (this.#end) listener.onEnd(this.#end);
    return () => this.#listeners.delete(listener);
  }

  lease(): SessionLease {
    const passedMs = this.#deps.clock.monotonicMs() - this.#leaseAtMs;
    const { remainingMs, ttlMs, expiresAtMs, endOfLifeMs } = this.#lease;
    const left = (ms: number) => Math.max(0, Math.floor(ms - passedMs));
    return {
      remainingMs: left(remainingMs),
      ttlMs,
      // Both ends of the difference are of the store's clock.
      endOfLifeMs: left(endOfLifeMs - expiresAtMs + remainingMs),
    };
  }

  async renew(ttlMs: number | null): Promise<SessionLease> {
    const { store, clock } = this.#deps;
    const askedAtMs = clock.monotonicMs();
    this.#renewedAtMs = askedAtMs;
    const { id } = this.record;
    const owner = { id, tenant: this.#tenant };
    let answer = await store.renew(owner, ttlMs, 'extend');
    if (answer.kind === 'refused' && answer.why === 'not_found' && (await this.#deps.vouch(id, this.#tenant)))
      answer = await store.renew(owner, ttlMs, 'extend');
    if (answer.kind === 'refused') throw refusalError(answer, id);
    this.seen(answer.record, askedAtMs);
    return this.lease();
  }

  /** Extends the lease in the background, at most once per tenth of its ttl. */
  used(): void {
    const nowMs = this.#deps.clock.monotonicMs();
    const tenthMs = this.#lease.ttlMs / usesPerTtl;
    if (this.#end !== null || nowMs - this.#renewedAtMs < tenthMs) return;
    this.renew(null).catch(() => {
      // While the store is away the next use tries again, but not every one of them.
      this.#renewedAtMs = nowMs - tenthMs + Math.min(tenthMs, retryMs);
    });
  }

  /** The store has answered with this record. */
  seen(record: SandboxRecord, askedAtMs: number): void {
    if (this.#end !== null || record.claim?.claimId !== this.#claimId) return;
    const end = endOf(record);
    if (end) this.finish(end);
    else if (record.lease) this.#leaseSeen(record.lease, askedAtMs);
  }

  heard(event: StoreEvent): void {
    if (event.tenant !== this.#tenant) return;
    if (event.to === 'stopping' || event.to === 'stopped' || event.to === 'failed') {
      this.finish({ reason: event.reason ?? event.to, failed: event.to === 'failed' });
    }
  }

  /** Asks the store, when an event may have been missed. Who asks while it is being asked has the same answer. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = null;
    });
    return this.#looking;
  }

  async #look(): Promise<void> {
    const { store, clock } = this.#deps;
    const askedAtMs = clock.monotonicMs();
    const record = await store.get(this.record.id, this.#tenant).catch(() => undefined);
    if (record) this.seen(record, askedAtMs);
  }

  finish(end: SandboxEnd): void {
    if (this.#end !== null) return;
    this.#end = end;
    this.#cancelLook();
    for (const listener of [...this.#listeners]) listener.onEnd(end);
  }

  #leaseSeen(lease: Lease, askedAtMs: number): void {
    const before = this.#lease;
    this.#lease = lease;
    this.#leaseAtMs = askedAtMs;
    if (lease.expiresAtMs === before.expiresAtMs && lease.ttlMs === before.ttlMs) return;
    if (this.#users > 0) this.#planLook();
    const view = this.lease();
    for (const listener of [...this.#listeners]) listener.onLease(view);
  }

  /** Shortly before the lease is about to run out, and more often from then on. */
  #planLook(): void {
    this.#cancelLook();
    if (this.#end !== null) return;
    const { remainingMs, ttlMs } = this.lease();
    const warningMs = expiryWarningMs(ttlMs);
    const delayMs = remainingMs - warningMs - Math.min(lookAheadMs, warningMs / 4);
    this.#cancelLook = this.#deps.clock.after(
      delayMs > 0 ? delayMs : Math.max(lookMsMin, remainingMs / 2),
      () => void this.look().finally(() => this.#users > 0 && this.#planLook()),
    );
  }
}

export interface OpenSandboxDeps {
  readonly store: Pick<PoolStore, 'get' | 'renew'>;
  readonly vouch: Vouch;
  readonly clock: Clock;
  readonly onIdle: (sandbox: OpenSandbox) => void;
}

export type LeasedRecord = SandboxRecord & Required<Pick<SandboxRecord, 'claim' | 'lease'>>;

function endOf(record: SandboxRecord): SandboxEnd | null {
  const { state, endReason } = record;
  if (state !== 'stopping' && state !== 'stopped' && state !== 'failed') return null;
  return { reason: endReason ?? state, failed: state === 'failed' };
}

const usesPerTtl = 10;
const retryMs = 1_000;
/** Enough for the store's answer to come before anybody is warned. */
const lookAheadMs = 1_000;
const lookMsMin = 1_000;
