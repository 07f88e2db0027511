import { type Clock, pause } from '../domain/clock.ts';
import { isWarmpoolError } from '../domain/errors.ts';
import { shardCount, shardOfSandbox } from '../domain/ids.ts';
import type { SandboxRecord } from '../domain/sandbox.ts';
import type { Log } from '../observability/log.ts';
import { type ExpireAnswer, embeddedStorePrefix, type PoolStore } from '../store/pool-store.ts';
import { LostNodes, type LostNodesDeps } from './lost-nodes.ts';

/**
 * Ends what has outlived its lease or boot deadline, every second, and heals the lease index every 5 minutes. Any
 * number of reapers may run: the listing only names candidates, and the store's `expire` re-checks each one on its own
 * clock in the step that moves it (D12). A damaged record cannot be judged and stays, but must not keep the others: the
 * listing names it first for ever, so each one makes the next listing longer by one.
 *
 * A server that was restarted or replaced may have forgotten renewals: nothing is ended until the nodes have had the time to
 * tell it what they know (I10). So the leases of those who are gone by then end up to `newRunGraceMs` late. The first answer
 * may come from such a server as well, unless the store began with this process.
 *
 * It also watches for lost nodes (lost-nodes.ts).
 */
export class Reaper implements AsyncDisposable {
  readonly #deps: ReaperDeps;
  readonly #lostNodes: LostNodes;
  readonly #stop = new AbortController();
  /** Due, but damaged: as of the last pass, so that each is told about once. */
  #damaged: ReadonlySet<string> = new Set();
  #running: Promise<void> = Promise.resolve();
  /** Which run of a server answered for each shard last, and until when nothing of the shard is ended. */
  readonly #runs = new Map<number, { readonly runId: string; readonly quietUntilMs: number }>();

  constructor(deps: ReaperDeps, options: { readonly nodeTimeoutMs?: number } = {}) {
    this.#deps = deps;
    this.#lostNodes = new LostNodes(deps, { nodeTimeoutMs: options.nodeTimeoutMs ?? nodeTimeoutMsDefault });
  }

  start(): void {
    this.#running = this.#run();
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#deps;
    let healAtMs = clock.monotonicMs() + healIntervalMs;
    while (!this.#stop.signal.aborted) {
      try {
        await this.pass();
        if (clock.monotonicMs() >= healAtMs) {
          healAtMs = clock.monotonicMs() + healIntervalMs;
          await this.#heal();
        }
      } catch (error) {
        log.warn({ err: error }, 'a reaping pass was given up; the next one comes in a second');
      }
      try {
        await this.#lostNodes.pass();
      } catch (error) {
        log.warn({ err: error }, 'a look for lost nodes was given up; the next one comes in a second');
      }
      await pause(clock, passIntervalMs, this.#stop.signal);
    }
  }

  async pass(): Promise<void> {
    const { store, observer, onEnding, log } = this.#deps;
    if (this.#knownShards().size === 0) {
      // Being asked is how it becomes healthy again.
      await store.due(1);
      return;
    }
    const damaged = new Set<string>();
    // A batch that ended nothing would only be listed again: what stays in it waits for the next pass.
    for (let ended = batchSize; ended > 0 && !this.#stop.signal.aborted; ) {
      ended = 0;
      const limit = batchSize + this.#damaged.size;
      const due = await store.due(limit);
      // The question may have waited for a server that is another one now.
      const known = this.#knownShards();
      for (const { id, incarnation } of due) {
        if (!known.has(shardOfSandbox(id))) continue;
        const answer = await this.#expire(id, incarnation);
        if (answer === null) damaged.add(id);
        if (answer?.kind !== 'done') continue;
        ended += 1;
        const reason = answer.record.endReason ?? 'lease_expired';
        observer.sandboxEnded(reason);
        log.info({ sandbox: id, pool: answer.record.pool, reason }, 'a sandbox has reached its end');
        onEnding(answer.record);
      }
      this.#damaged = damaged;
      if (due.length < limit) return;
    }
  }

  /** In a cluster each shard may have another server; otherwise all are known, or none. */
  #knownShards(): ReadonlySet<number> {
    const { store, clock } = this.#deps;
    const nowMs = clock.monotonicMs();
    const known = new Set<number>();
    for (let shard = 0; shard < shardCount; shard += 1) {
      const { healthy, runId } = store.health(shard);
      if (!healthy) continue;
      const last = this.#runs.get(shard);
      const isNew =
        last === undefined ? !store.storeId.startsWith(embeddedStorePrefix) : last.runId !== runId;
      const quietUntilMs = isNew ? nowMs + newRunGraceMs : (last?.quietUntilMs ?? 0);
      this.#runs.set(shard, { runId, quietUntilMs });
      if (nowMs >= quietUntilMs) known.add(shard);
    }
    return known;
  }

  /** null: its record is damaged. A store that does not answer ends the pass. */
  async #expire(id: string, incarnation: number): Promise<ExpireAnswer | null> {
    const { store, log } = this.#deps;
    try {
      return await store.expire(id, incarnation);
    } catch (error) {
      if (isWarmpoolError(error) && error.code === 'STORE_UNAVAILABLE') throw error;
      if (!this.#damaged.has(id)) {
        log.error(
          { sandbox: id, err: error },
          'a sandbox is due but its record is damaged; it stays as it is',
        );
      }
      return null;
    }
  }

  async #heal(): Promise<void> {
    const report = await this.#deps.store.healIndexes();
    if (report.readded + report.dropped === 0) return;
    this.#deps.observer.indexHealed(report.readded + report.dropped);
    this.#deps.log.error(report, 'an index of the store disagreed with its records and was healed');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }
}

export interface ReaperDeps {
  readonly store: Pick<PoolStore, 'storeId' | 'due' | 'expire' | 'healIndexes'> & LostNodesDeps['store'];
  readonly clock: Clock;
  readonly observer: LostNodesDeps['observer'] & { indexHealed(count: number): void };
  readonly log: Log;
  /** Lets a node in this process act at once instead of at its next look. */
  readonly onEnding: (record: SandboxRecord) => void;
}

const passIntervalMs = 1_000;
const healIntervalMs = 300_000;
/** Two passes of every node's reconciler. */
const newRunGraceMs = 10_000;
const batchSize = 100;
/** Fifteen missed heartbeats: longer than a busy host stalls, and than a store takes to fail over. */
const nodeTimeoutMsDefault = 15_000;
