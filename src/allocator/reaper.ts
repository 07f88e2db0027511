import { type Clock, pause } from '../domain/clock.ts';
import type { EndReason, SandboxRecord } from '../domain/sandbox.ts';
import type { Log } from '../observability/log.ts';
import type { PoolStore } from '../store/pool-store.ts';

/**
 * Ends what has outlived its lease or boot deadline, every second, and heals the lease index every 5 minutes. Any
 * number of reapers may run: the listing only names candidates, and the store's `expire` re-checks each one on its own
 * clock in the step that moves it (D12).
 */
export class Reaper implements AsyncDisposable {
  readonly #deps: ReaperDeps;
  readonly #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(deps: ReaperDeps) {
    this.#deps = deps;
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
      await pause(clock, passIntervalMs, this.#stop.signal);
    }
  }

  async pass(): Promise<void> {
    const { store, observer, onEnding, log } = this.#deps;
    // A batch that ended nothing would only be listed again: what stays in it waits for the next pass.
    for (let ended = batchSize; ended > 0 && !this.#stop.signal.aborted; ) {
      ended = 0;
      const due = await store.due(batchSize);
      for (const { id, incarnation } of due) {
        const answer = await store.expire(id, incarnation);
        if (answer.kind !== 'done') continue;
        ended += 1;
        const reason = answer.record.endReason ?? 'lease_expired';
        observer.sandboxEnded(reason);
        log.info({ sandbox: id, pool: answer.record.pool, reason }, 'a sandbox has reached its end');
        onEnding(answer.record);
      }
      if (due.length < batchSize) return;
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
  readonly store: Pick<PoolStore, 'due' | 'expire' | 'healIndexes'>;
  readonly clock: Clock;
  readonly observer: { sandboxEnded(reason: EndReason): void; indexHealed(count: number): void };
  readonly log: Log;
  /** Lets a node in this process act at once instead of at its next look. */
  readonly onEnding: (record: SandboxRecord) => void;
}

const passIntervalMs = 1_000;
const healIntervalMs = 300_000;
const batchSize = 100;
