import type { Clock } from '../domain/clock.ts';
import { WarmpoolError } from '../domain/errors.ts';
import type { Lease, SandboxRecord } from '../domain/sandbox.ts';
import { failpoint } from '../failpoints.ts';
import type { Log } from '../observability/log.ts';
import type { BoundSandbox } from '../store/pool-store.ts';
import { type FoundLine, JournalFile } from './journal-file.ts';
import type { NodeObserver } from './observer.ts';

/**
 * Which claim each sandbox of this node belongs to, once somebody has used it: the last word, where a store may lose what
 * it has said (D7–D10).
 *
 *   unbound ──first use: journaled, then let in──▶ bound to (incarnation, claim) ──its object gone──▶ forgotten
 *
 * Invariants: a sandbox is bound to one claim id for all its life (D15); a use is let in only after its binding was
 * written, and not at all when it cannot be; a binding is dropped only when its object is gone. In memory lies beside
 * each binding how much of its lease is left, as the store last said: it is written only with the binding, so after a
 * restart it begins at a full term.
 *
 * Bounded by what the host can run: what is dead in the file is dropped when it is the larger part.
 *
 * Turned down: an asynchronous write. Checking, writing and remembering are one step of this process now, so two first
 * uses cannot meet in the middle, and the write goes to the page cache: some microseconds, once for each claim.
 */
export class BindJournal implements AsyncDisposable {
  readonly #deps: BindJournalDeps;
  readonly #file: JournalFile;
  readonly #bound = new Map<string, Binding>();
  /** Of the lines that hold `#bound`. */
  #liveBytes = 0;

  private constructor(deps: BindJournalDeps, file: JournalFile) {
    this.#deps = deps;
    this.#file = file;
  }

  /** Reads what earlier runs of this node have written to it. Throws when it cannot be used. */
  static open(deps: BindJournalDeps, path: string): BindJournal {
    try {
      const { file, found } = JournalFile.open(path);
      const journal = new BindJournal(deps, file);
      for (const line of found.lines) journal.#replay(line);
      if (found.damagedCount > 0) {
        deps.log.error(
          { path, lines: found.damagedCount, bound: journal.#bound.size },
          'the journal of claims is damaged; what its damaged lines said is not known any more',
        );
      } else if (found.tornBytes > 0) {
        deps.log.warn({ path, bytes: found.tornBytes }, 'the torn end of the journal of claims was cut off');
      }
      if (found.damagedCount > 0 || file.byteCount > journal.#liveBytes) journal.#compact();
      return journal;
    } catch (error) {
      throw new WarmpoolError(
        'INTERNAL',
        `the journal of claims ${path} cannot be used: ${reasonOf(error)}`,
        {},
        { cause: error },
      );
    }
  }

  /** Every bound sandbox as it is now. */
  all(): readonly BoundSandbox[] {
    return [...this.#bound.values()].map((binding) => this.#now(binding));
  }

  of(sandboxId: string): BoundSandbox | null {
    const binding = this.#bound.get(sandboxId);
    return binding === undefined ? null : this.#now(binding);
  }

  /** Whether what the store says of this sandbox is said of the claim that has it; true for one that nobody has. */
  agrees(record: SandboxRecord): boolean {
    const binding = this.#bound.get(record.id);
    return binding === undefined || binding.sandbox.claim.claimId === record.claim?.claimId;
  }

  /**
   * To be called before the use of `record`'s claim begins; `record` is running. Throws CLAIM_CONFLICT when the sandbox
   * is another claim's or this is an older incarnation, RUNTIME_UNAVAILABLE when the binding cannot be written.
   */
  bind(record: SandboxRecord): void {
    const { claim, lease } = record;
    if (!claim || !lease) throw conflict(record);
    const known = this.#bound.get(record.id);
    if (known !== undefined) {
      const { sandbox } = known;
      if (sandbox.claim.claimId !== claim.claimId || record.incarnation < sandbox.incarnation) {
        this.#deps.observer.claimConflict();
        throw conflict(record);
      }
      if (record.incarnation === sandbox.incarnation) return;
    }
    const { id, pool, specVersion, launch, nodeId, incarnation, createdAtMs, readyAtMs } = record;
    const sandbox: BoundSandbox = {
      ...{ id, pool, specVersion, launch, nodeId, incarnation, createdAtMs },
      ...(readyAtMs === undefined ? {} : { readyAtMs }),
      claim,
      leaseTtlMs: lease.ttlMs,
      onExpiry: lease.onExpiry,
      leaseLeftMs: lease.remainingMs,
      lifeLeftMs: lifeLeftMs(lease),
    };
    const { clock } = this.#deps;
    failpoint('bind');
    this.#write({ v: formatVersion, bind: sandbox, atMs: clock.wallMs() });
    failpoint('journal');
    this.#noteLeaseEnd(id, lease);
  }

  /**
   * For how long this node knows by its own timer that a lease goes on which the store calls expired (D12): its clock has
   * jumped. 0 where it cannot know: nothing of the lease was seen in this run, or its owner has shortened it since.
   */
  timerLeftMs({ id, state, expiredAtMs }: SandboxRecord): number {
    const binding = this.#bound.get(id);
    if (!binding || state !== 'stopping' || expiredAtMs === undefined) return 0;
    if (binding.leaseEndsAtMs === null || expiredAtMs < binding.leaseEndsAtMs) return 0;
    const leftMs = binding.leaseLeftMs - (this.#deps.clock.monotonicMs() - binding.seenAtMs);
    return leftMs > timerSlackMs ? leftMs : 0;
  }

  /** The store's last word on the lease of a claim that has its sandbox. */
  leaseSeen({ id, claim, lease }: SandboxRecord): void {
    const binding = this.#bound.get(id);
    if (!binding || !lease || claim?.claimId !== binding.sandbox.claim.claimId) return;
    const nowMs = this.#deps.clock.monotonicMs();
    const { leaseEndsAtMs } = binding;
    // The same end or a later one with less left than this node's own timer says: the store's clock has jumped (D12).
    const isNoShorter = leaseEndsAtMs !== null && lease.expiresAtMs >= leaseEndsAtMs;
    const timerLeftMs = isNoShorter ? binding.leaseLeftMs - (nowMs - binding.seenAtMs) : 0;
    binding.leaseLeftMs = Math.max(lease.remainingMs, timerLeftMs);
    binding.lifeLeftMs = lifeLeftMs(lease);
    binding.seenAtMs = nowMs;
    this.#noteLeaseEnd(id, lease);
  }

  /** Its object is gone. When that cannot be written, the next start finds out again. */
  forget(sandboxId: string): void {
    const binding = this.#bound.get(sandboxId);
    if (binding === undefined) return;
    this.#drop(sandboxId);
    try {
      this.#file.append(JSON.stringify({ v: formatVersion, end: sandboxId } satisfies Entry));
    } catch (error) {
      this.#deps.log.warn({ sandbox: sandboxId, err: error }, 'the end of a claim could not be journaled');
    }
    const deadBytes = this.#file.byteCount - this.#liveBytes;
    if (deadBytes > Math.max(deadBytesMin, this.#liveBytes)) this.#compact();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#file[Symbol.dispose]();
  }

  #write(entry: BindEntry): void {
    let lineBytes: number;
    try {
      lineBytes = this.#file.append(JSON.stringify(entry));
    } catch (error) {
      this.#deps.log.error({ sandbox: entry.bind.id, err: error }, 'a claim could not be journaled');
      throw new WarmpoolError(
        'RUNTIME_UNAVAILABLE',
        `the node could not write down that sandbox ${entry.bind.id} is in use, so it is not: ${reasonOf(error)}`,
        { retryAfterMs: 1_000, facts: { sandbox: entry.bind.id, node: entry.bind.nodeId } },
        { cause: error },
      );
    }
    this.#take(entry, lineBytes);
  }

  #take(entry: BindEntry, lineBytes: number): void {
    const { bind: sandbox, atMs } = entry;
    this.#drop(sandbox.id);
    this.#liveBytes += lineBytes;
    const { leaseLeftMs, lifeLeftMs } = sandbox;
    const seenAtMs = this.#deps.clock.monotonicMs();
    this.#bound.set(sandbox.id, {
      ...{ sandbox, atMs, lineBytes, leaseLeftMs, lifeLeftMs, seenAtMs },
      leaseEndsAtMs: null,
    });
  }

  #noteLeaseEnd(sandboxId: string, { expiresAtMs }: Lease): void {
    const binding = this.#bound.get(sandboxId);
    if (binding) binding.leaseEndsAtMs = expiresAtMs;
  }

  #drop(sandboxId: string): void {
    this.#liveBytes -= this.#bound.get(sandboxId)?.lineBytes ?? 0;
    this.#bound.delete(sandboxId);
  }

  #replay({ text, byteCount }: FoundLine): void {
    const entry = parseEntry(text);
    if ('end' in entry) {
      this.#drop(entry.end);
      return;
    }
    this.#take(entry, byteCount);
    const binding = this.#bound.get(entry.bind.id);
    if (binding === undefined) return;
    // This host's own clock against itself. Renewals since were told to the store only: its owner gets a full term.
    const passedMs = Math.max(0, this.#deps.clock.wallMs() - entry.atMs);
    binding.lifeLeftMs = Math.max(entry.bind.leaseTtlMs, entry.bind.lifeLeftMs - passedMs);
    binding.leaseLeftMs = entry.bind.leaseTtlMs;
  }

  #compact(): void {
    const kept = [...this.#bound.values()];
    try {
      const sizes = this.#file.replace(
        kept.map(({ sandbox, atMs }) => JSON.stringify({ v: formatVersion, bind: sandbox, atMs })),
      );
      for (const [index, binding] of kept.entries()) binding.lineBytes = sizes[index] ?? 0;
      this.#liveBytes = this.#file.byteCount;
    } catch (error) {
      // It is longer than need be, and as good as it was.
      this.#deps.log.warn(
        { path: this.#file.path, err: error },
        'the journal of claims could not be shortened',
      );
    }
  }

  #now({ sandbox, leaseLeftMs, lifeLeftMs, seenAtMs }: Binding): BoundSandbox {
    const passedMs = this.#deps.clock.monotonicMs() - seenAtMs;
    const left = (ms: number) => Math.max(0, Math.floor(ms - passedMs));
    const renewedMs = Math.min(sandbox.leaseTtlMs, unseenRenewalMs);
    return {
      ...sandbox,
      leaseLeftMs: Math.max(left(leaseLeftMs), renewedMs),
      lifeLeftMs: left(lifeLeftMs),
    };
  }
}

export interface BindJournalDeps {
  readonly clock: Clock;
  readonly observer: Pick<NodeObserver, 'claimConflict'>;
  readonly log: Log;
}

/** One line of the file. */
type Entry = BindEntry | EndEntry;

interface BindEntry {
  readonly v: number;
  readonly bind: BoundSandbox;
  /** By this host's clock. */
  readonly atMs: number;
}

interface EndEntry {
  readonly v: number;
  readonly end: string;
}

interface Binding {
  readonly sandbox: BoundSandbox;
  readonly atMs: number;
  lineBytes: number;
  leaseLeftMs: number;
  lifeLeftMs: number;
  /** When the two were so. */
  seenAtMs: number;
  /** By the store's clock, as the store said it in this run: to see whether the lease was shortened since. null: not seen. */
  leaseEndsAtMs: number | null;
}

/** The checksum says that this process or an earlier one of this host wrote it: only what it means may differ. */
function parseEntry(text: string): Entry {
  const entry = JSON.parse(text) as Entry;
  if (entry.v === formatVersion) return entry;
  throw new Error(
    `it was written by another version of warmpool (${entry.v}; this one knows ${formatVersion}): start that one, or move the file away when none of its sandboxes runs any more`,
  );
}

function conflict({ id, incarnation }: SandboxRecord): WarmpoolError {
  return new WarmpoolError(
    'CLAIM_CONFLICT',
    `sandbox ${id} belongs to another claim: the store gave it out twice; create a new one with the same request`,
    { facts: { sandbox: id, incarnation: String(incarnation) } },
  );
}

function lifeLeftMs({ endOfLifeMs, expiresAtMs, remainingMs }: Lease): number {
  // Both ends of the difference are of the store's clock.
  return endOfLifeMs - expiresAtMs + remainingMs;
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

const formatVersion = 1;
/** What a look at the store may be late by: a lease that ended in time must not be held for it. */
const timerSlackMs = 2_000;
/** Less than this is not worth a rewrite. */
const deadBytesMin = 65_536;
/** A renewal that only the store was told of may be as young as the last look at the store, and was worth a term. */
const unseenRenewalMs = 15_000;
