import type { Clock } from '../domain/clock.ts';
import { isWarmpoolError, WarmpoolError } from '../domain/errors.ts';
import { withResources } from '../domain/pool-spec.ts';
import type { EndReason, SandboxRecord } from '../domain/sandbox.ts';
import { failpoint } from '../failpoints.ts';
import type { Guest } from '../guest-link/guest.ts';
import type { Log } from '../observability/log.ts';
import type { SandboxRuntime } from '../runtime/sandbox-runtime.ts';
import type { PoolStore, TransitionAnswer } from '../store/pool-store.ts';
import type { BindJournal } from './bind-journal.ts';
import { bootEndReason, bootSandbox, type LinkedGuest, type OpenGuest } from './boot.ts';
import type { NodePools } from './node-pools.ts';
import type { NodeObserver } from './observer.ts';
import type { StartGate, StartKind } from './start-gate.ts';

/**
 * Owns the sandboxes of this process: one entry for each object it is booting, holds a link to, or is removing.
 *
 *   booting → up → stopping → (entry gone)
 *        ↘ stopping
 *
 * Invariants: an entry is made before its object and dropped after its object is gone, so an object without an entry
 * is not this process's work in progress; an entry leaves at most once; the store is told of a lost link before the
 * object is removed, so nothing dead is handed out in the meantime. The store decides who owns a sandbox; the
 * supervisor only reports facts under (id, node, incarnation) and obeys the answers.
 */
export class SandboxSupervisor {
  readonly #deps: SupervisorDeps;
  readonly #nodeId: string;
  readonly #entries = new Map<string, Entry>();
  readonly #work = new Set<Promise<unknown>>();
  /** Set for good by `stopBoots`. */
  #refusal: WarmpoolError | null = null;

  constructor(deps: SupervisorDeps, options: { nodeId: string }) {
    this.#deps = deps;
    this.#nodeId = options.nodeId;
  }

  get size(): number {
    return this.#entries.size;
  }

  has(sandboxId: string): boolean {
    return this.#entries.has(sandboxId);
  }

  /** The guest of a sandbox that is up here. */
  guest(sandboxId: string): Guest | null {
    const entry = this.#entries.get(sandboxId);
    return entry?.phase === 'up' ? entry.guest : null;
  }

  entries(): readonly SupervisedSandbox[] {
    return [...this.#entries.values()];
  }

  /**
   * Boots what the record reserves and reports it. Settles, never rejects, with what came of it; the store knows either
   * way. A second call for the same sandbox shares the first one's result; when a
   * claim has taken a refill over, that call is the foreground one, and the boot goes before all refills from then on.
   */
  boot(record: SandboxRecord, kind: StartKind): Promise<BootOutcome> {
    const known = this.#entries.get(record.id);
    if (known) {
      if (kind === 'foreground') known.promote();
      return known.booted;
    }
    const pool = this.#deps.pools.get(record.pool);
    const entry = this.#newEntry(record, pool?.runtime ?? null);
    if (this.#refusal) entry.abort.abort(this.#refusal);
    entry.booted = this.#track(this.#boot(entry, record, kind));
    return entry.booted;
  }

  /** The store has refused to end it as unclaimed and always will: no sandbox is ever given back (D15). */
  noteClaimed(sandboxId: string): void {
    const entry = this.#entries.get(sandboxId);
    if (entry) entry.unclaimedIncarnation = null;
  }

  /**
   * Takes over an object that outlived the process that booted it. Settles false when it cannot be reached; rejects with
   * RUNTIME_UNAVAILABLE when nothing can be said of it now.
   */
  adopt(record: Adoptable, runtime: SandboxRuntime): Promise<boolean> {
    return this.#track(this.#adopt(record, runtime, 0));
  }

  /**
   * Removes the object and settles its record (which is `stopping` or `failed` by now). Idempotent; when the runtime or
   * the store is away it gives up with a warning, and the reconciler comes back to it.
   */
  remove(sandboxId: string): Promise<void> {
    const entry = this.#entries.get(sandboxId);
    if (entry?.removed) return entry.removed;
    if (entry) {
      entry.phase = 'stopping';
      entry.abort.abort(new WarmpoolError('CANCELLED', 'the sandbox is being removed'));
    }
    const removed = this.#track(this.#remove(sandboxId, entry));
    if (entry) entry.removed = removed;
    return removed;
  }

  /** Ends the boots in flight and every later one: they are reported as failed with this error, so nobody waits for them. */
  stopBoots(refusal: WarmpoolError): void {
    this.#refusal = refusal;
    for (const entry of this.#entries.values()) if (entry.phase === 'booting') entry.abort.abort(refusal);
  }

  /** Settles when nothing is being booted, adopted or removed. */
  async settled(): Promise<void> {
    while (this.#work.size > 0) await Promise.allSettled([...this.#work]);
  }

  /** Lets go of every link without touching the objects. */
  detach(): void {
    for (const entry of this.#entries.values()) {
      entry.phase = 'stopping';
      entry.guest?.close();
    }
    this.#entries.clear();
  }

  async #boot(entry: Entry, record: SandboxRecord, kind: StartKind): Promise<BootOutcome> {
    const { store, pools, clock, observer, log } = this.#deps;
    const pool = pools.get(record.pool);
    const runtime = pool?.runtime;
    if (!pool || !runtime) {
      const failure = `this node has no runtime for pool "${record.pool}"`;
      await this.#reportLoss(record, 'runtime_unavailable', failure);
      return { kind: 'failed' };
    }
    const template = withResources(pool.spec.template, record.claim?.customisation.resources);
    let leave: (() => void) | undefined;
    const startedMs = clock.monotonicMs();
    try {
      leave = await this.#enterGate(entry, kind);
      const making = bootSandbox(
        { runtime, openGuest: this.#deps.openGuest, clock },
        { sandboxId: record.id, pool: record.pool, storeId: store.storeId, template },
        entry.abort.signal,
      );
      entry.making = making;
      const guest = await making;
      const answer = await this.#report(record);
      failpoint('ready');
      if (answer?.kind === 'refused' || entry.phase === 'stopping') {
        guest.close();
        await this.remove(record.id);
        return { kind: 'overtaken' };
      }
      this.#up(entry, guest);
      observer.bootEnded(runtime.name, 'ready', (clock.monotonicMs() - startedMs) / 1_000);
      if (answer) return { kind: 'up', record: answer.record };
      // It may be ready by the store's word, and somebody's by now (I10): it stays, and the reconciler reports it again.
      log.warn(
        { sandbox: record.id },
        'the store could not be told that a sandbox is up; it will be told again',
      );
      return { kind: 'overtaken' };
    } catch (error) {
      const isUnwanted = entry.phase === 'stopping';
      observer.bootEnded(
        runtime.name,
        isUnwanted ? 'cancelled' : 'failed',
        (clock.monotonicMs() - startedMs) / 1_000,
      );
      if (!isUnwanted) {
        const sentence = error instanceof Error ? error.message : String(error);
        log.warn({ sandbox: record.id, pool: record.pool, reason: sentence }, 'a sandbox did not boot');
        await this.#reportLoss(record, this.#refusal ? 'node_drained' : bootEndReason(error), sentence);
      }
      return { kind: isUnwanted ? 'overtaken' : 'failed' };
    } finally {
      leave?.();
    }
  }

  /** A refill that is taken over while it waits for its turn goes to the foreground's line. */
  async #enterGate(entry: Entry, kind: StartKind): Promise<() => void> {
    const { gate } = this.#deps;
    const promoted = new AbortController();
    entry.promote = () => promoted.abort();
    if (kind === 'foreground') return gate.enter('foreground', entry.abort.signal);
    try {
      return await gate.enter('refill', AbortSignal.any([entry.abort.signal, promoted.signal]));
    } catch (error) {
      if (entry.abort.signal.aborted) throw error;
      return gate.enter('foreground', entry.abort.signal);
    }
  }

  /** null: the store did not answer, so nobody knows what it was told. */
  async #report(record: SandboxRecord): Promise<TransitionAnswer | null> {
    const { store, clock } = this.#deps;
    let fence = { id: record.id, nodeId: this.#nodeId, incarnation: record.incarnation };
    // A lost answer is asked for again: the step is idempotent. The boot deadline in the store bounds how often it helps.
    for (let attempt = 1; ; attempt += 1) {
      try {
        const answer = await store.reportReady(fence);
        if (answer.kind === 'done' || answer.why !== 'stale_incarnation') return answer;
        // A claim has come since it was reserved. It took what an earlier attempt had reported, whose answer was lost; or
        // it took the boot over, which is reported to its owner's incarnation.
        const taken = await store.get(record.id, null);
        if (taken?.state === 'running' && taken.nodeId === this.#nodeId)
          return { kind: 'done', record: taken };
        if (taken?.state !== 'starting' || attempt === reportAttemptsMax) return answer;
        fence = { ...fence, incarnation: taken.incarnation };
      } catch (error) {
        if (!isWarmpoolError(error) || error.code !== 'STORE_UNAVAILABLE') throw error;
        if (attempt === reportAttemptsMax) return null;
        await new Promise<void>((resolve) => clock.after(250 * attempt, resolve));
      }
    }
  }

  #up(entry: Entry, guest: LinkedGuest): void {
    entry.phase = 'up';
    entry.guest = guest;
    entry.upSinceMs = this.#deps.clock.monotonicMs();
    guest.closed.then((why) => this.#track(this.#linkLost(entry, why)));
  }

  async #adopt(record: Adoptable, runtime: SandboxRuntime, relinks: number): Promise<boolean> {
    if (this.#entries.has(record.id)) return true;
    const entry = this.#newEntry(record, runtime);
    entry.bootedHere = false;
    entry.relinks = relinks;
    try {
      const booted = await runtime.adopt(record.id);
      const guest = await this.#deps.openGuest(booted);
      if (entry.removed) {
        guest.close();
        return false;
      }
      this.#up(entry, guest);
      this.#deps.log.info({ sandbox: record.id, pool: record.pool }, 'adopted a running sandbox');
      return true;
    } catch (error) {
      this.#entries.delete(record.id);
      this.#deps.log.warn({ sandbox: record.id, err: error }, 'a running sandbox could not be adopted');
      if (isWarmpoolError(error) && error.code === 'RUNTIME_UNAVAILABLE') throw error;
      return false;
    }
  }

  async #linkLost(entry: Entry, why: string): Promise<void> {
    if (entry.phase === 'stopping') return;
    this.#deps.log.warn({ sandbox: entry.id, pool: entry.pool, reason: why }, 'the link to a guest was lost');
    const known = await this.#tryStore(() => this.#deps.store.get(entry.id, null));
    // What the store says of another claim is not about this sandbox.
    const record = known && this.#deps.journal.agrees(known) ? known : null;
    // Whoever removes it meanwhile has the last word.
    if (entry.removed) return;
    if (entry.runtime?.survivesNode) {
      if (await this.#mayLiveOn(entry, entry.runtime, record)) return;
    } else if (!record) await this.remove(entry.id);
    if (record) await this.#reportLoss(record, 'link_lost', `the link to the guest was lost: ${why}`);
  }

  /**
   * A docker sandbox may have outlived its link (the engine restarted): a claimed one is worth another, also one whose
   * lease goes on by the node's own timer only (D12). While the engine or the store is away, or the record is missing,
   * nothing here is evidence that it is dead (I10): it is let go of, and the reconciler adopts it or fails it once both
   * answer. Links that break one after the other are the guest's doing.
   */
  async #mayLiveOn(entry: Entry, runtime: SandboxRuntime, record: SandboxRecord | null): Promise<boolean> {
    if (record && !this.#isInUse(record)) return false;
    const lastedMs = this.#deps.clock.monotonicMs() - entry.upSinceMs;
    const relinks = lastedMs < soundLinkMs ? entry.relinks + 1 : 1;
    if (record && relinks > relinksMax) return false;
    this.#entries.delete(entry.id);
    if (!record) return true;
    try {
      return await this.#adopt(record, runtime, relinks);
    } catch {
      return true;
    }
  }

  #isInUse(record: SandboxRecord): boolean {
    if (record.claim === undefined) return false;
    return record.state === 'running' || this.#deps.journal.timerLeftMs(record) > 0;
  }

  /** Tells the store that the sandbox is lost, at whatever incarnation it has by now, then removes the object. */
  async #reportLoss(record: SandboxRecord, reason: EndReason, failure: string): Promise<void> {
    let incarnation = record.incarnation;
    for (let attempt = 0; attempt < fenceAttemptsMax; attempt += 1) {
      const fence = { id: record.id, nodeId: this.#nodeId, incarnation };
      const answer = await this.#tryStore(() => this.#deps.store.reportFailed(fence, reason, failure));
      if (answer?.kind !== 'refused' || answer.why !== 'stale_incarnation') break;
      // Claimed in this very moment: look again and report the loss to its new owner's incarnation.
      const now = await this.#tryStore(() => this.#deps.store.get(record.id, null));
      if (!now) break;
      incarnation = now.incarnation;
    }
    this.#deps.observer.sandboxEnded(reason);
    await this.remove(record.id);
  }

  async #remove(sandboxId: string, entry: Entry | undefined): Promise<void> {
    const { store, log } = this.#deps;
    try {
      // Nothing is removed while it is still being made: an aborted boot cleans up first, then this finds the rest.
      await entry?.making.catch(() => null);
      entry?.guest?.close();
      failpoint('kill');
      const runtimes = entry?.runtime ? [entry.runtime] : this.#deps.pools.runtimes();
      for (const runtime of runtimes) await runtime.destroy(sandboxId);
      this.#deps.journal.forget(sandboxId);
      failpoint('delete');
      const record = await store.get(sandboxId, null);
      if (record && record.nodeId === this.#nodeId) {
        await store.finishStop({ id: sandboxId, nodeId: this.#nodeId, incarnation: record.incarnation });
      }
    } catch (error) {
      log.warn({ sandbox: sandboxId, err: error }, 'a sandbox could not be removed yet; trying again');
    } finally {
      if (entry && this.#entries.get(sandboxId) === entry) this.#entries.delete(sandboxId);
    }
  }

  #newEntry(record: Adoptable, runtime: SandboxRuntime | null): Entry {
    const entry: Entry = {
      id: record.id,
      pool: record.pool,
      specVersion: record.specVersion,
      unclaimedIncarnation: record.claim ? null : record.incarnation,
      bootedHere: true,
      runtime,
      phase: 'booting',
      guest: null,
      upSinceMs: 0,
      relinks: 0,
      abort: new AbortController(),
      making: Promise.resolve(),
      promote: () => {},
      booted: Promise.resolve({ kind: 'overtaken' }),
      removed: null,
    };
    this.#entries.set(record.id, entry);
    return entry;
  }

  async #tryStore<T>(step: () => Promise<T>): Promise<T | null> {
    try {
      return await step();
    } catch (error) {
      this.#deps.log.warn({ err: error }, 'the store did not answer; the reconciler will come back to it');
      return null;
    }
  }

  #track<T>(work: Promise<T>): Promise<T> {
    this.#work.add(work);
    const done = () => this.#work.delete(work);
    work.then(done, done);
    return work;
  }
}

/** What has to be known of a sandbox to hold a link to it. */
export type Adoptable = Pick<SandboxRecord, 'id' | 'pool' | 'specVersion' | 'incarnation' | 'claim'>;

export interface SupervisorDeps {
  readonly store: PoolStore;
  readonly journal: Pick<BindJournal, 'agrees' | 'forget' | 'timerLeftMs'>;
  readonly pools: NodePools;
  readonly gate: StartGate;
  readonly openGuest: OpenGuest;
  readonly clock: Clock;
  readonly observer: NodeObserver;
  readonly log: Log;
}

export type BootOutcome =
  | { readonly kind: 'up'; readonly record: SandboxRecord }
  | { readonly kind: 'failed' }
  /** Somebody ended the sandbox while it booted: that says nothing about its template. */
  | { readonly kind: 'overtaken' };

export interface SupervisedSandbox {
  readonly id: string;
  readonly pool: string;
  readonly specVersion: string;
  /** The fence of a sandbox that is not known to be claimed; a claim raises it in the store first. null: claimed. */
  readonly unclaimedIncarnation: number | null;
  /** False: an earlier process made it, and may have let somebody use it. */
  readonly bootedHere: boolean;
  readonly phase: 'booting' | 'up' | 'stopping';
  readonly runtime: SandboxRuntime | null;
  /** Monotonic milliseconds; 0 until it is up. */
  readonly upSinceMs: number;
}

interface Entry extends SupervisedSandbox {
  unclaimedIncarnation: number | null;
  bootedHere: boolean;
  phase: 'booting' | 'up' | 'stopping';
  guest: LinkedGuest | null;
  upSinceMs: number;
  /** Links made one after the other because the one before dropped early. */
  relinks: number;
  readonly abort: AbortController;
  /** The object's own making, without the reports around it. */
  making: Promise<unknown>;
  /** While it waits for its turn as a refill: puts it into the foreground's line. */
  promote: () => void;
  booted: Promise<BootOutcome>;
  removed: Promise<void> | null;
}

/** With the pauses between them some 2.5 s: longer than a store's restart usually takes to be noticed. */
const reportAttemptsMax = 5;
/** An engine may restart twice; a guest that breaks the protocol does it on every link. */
const relinksMax = 3;
/** A link that lasted this long was a sound one. */
const soundLinkMs = 10_000;
/** A claim, and then a claim's delete, may each raise the incarnation under us once. */
const fenceAttemptsMax = 3;
