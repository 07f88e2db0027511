import cluster, { type Worker } from 'node:cluster';
import type { Clock } from '../domain/clock.ts';
import type { Figures } from '../observability/figures.ts';
import type { Log } from '../observability/log.ts';
import { WorkerFigures } from './worker-figures.ts';

/** Where a worker serves, as it says when it does. */
export interface WorkerAddresses {
  readonly grpc: string;
  readonly http: string;
  readonly data: string;
}

export interface WorkersOptions {
  readonly count: number;
  /** Of a worker, whole. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Behind the name of the program. */
  readonly commandLine: readonly string[];
  /** How long calls of a worker may go on that is told to stop. */
  readonly drainTimeoutMs: number;
}

/**
 * Processes that serve calls at the same ports, by `node:cluster`: this process listens, and hands each connection to one
 * of them. It owns them: one that dies is started again, and when this process goes they go.
 *
 *   starting ──every worker serves──▶ running ──dispose──▶ stopping ──last one has ended, or was killed──▶ stopped
 *       └──one ends before any has served──▶ failed (nobody would be served after a second try either)
 *
 * Invariants: there are `count` workers, or one waits for its next start; a worker that dies again and again is started
 * less and less often. Pool files that are read again are read again by all, also by those that were just being started.
 * A worker that loses this process ends at once: node:cluster sees to that.
 */
export class Workers implements AsyncDisposable {
  readonly #deps: WorkersDeps;
  readonly #options: WorkersOptions;
  readonly #live = new Set<Worker>();
  readonly #restarts = new Set<() => void>();
  readonly #serving = new Set<Worker>();
  /** Begun before a reload, and not serving yet: they may have read the pool files before they changed. */
  readonly #outdated = new Set<Worker>();
  readonly #figures: WorkerFigures;
  #addresses: WorkerAddresses | null = null;
  #isStopping = false;
  #onChange: () => void = () => {};
  /** Deaths since one lived for long. */
  #deaths = 0;

  static async start(deps: WorkersDeps, options: WorkersOptions): Promise<Workers> {
    const workers = new Workers(deps, options);
    try {
      await workers.#until(() => workers.#serving.size === options.count);
    } catch (error) {
      await workers[Symbol.asyncDispose]();
      throw error;
    }
    return workers;
  }

  private constructor(deps: WorkersDeps, options: WorkersOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#figures = new WorkerFigures(deps.clock, deps.ownFigures);
    cluster.setupPrimary({ args: [...options.commandLine] });
    for (let count = 0; count < options.count; count += 1) this.#fork();
  }

  get addresses(): WorkerAddresses {
    if (this.#addresses === null) throw new Error('assertion failed: no worker has served yet');
    return this.#addresses;
  }

  /** Each reads its pool files again. */
  reload(): void {
    for (const worker of this.#live) {
      // One that has only just begun would die of the signal.
      if (this.#serving.has(worker)) worker.process.kill('SIGHUP');
      else this.#outdated.add(worker);
    }
  }

  /** Each drains by itself, as a service does that is told to stop; one that does not end by it is killed. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopping = true;
    for (const cancel of this.#restarts) cancel();
    this.#restarts.clear();
    for (const worker of this.#live) worker.process.kill('SIGTERM');
    const cancel = this.#deps.clock.after(this.#options.drainTimeoutMs + closingMsMax, () => this.#killAll());
    await this.#until(() => this.#live.size === 0);
    cancel();
  }

  #killAll(): void {
    const { log } = this.#deps;
    for (const worker of this.#live) {
      log.error({ worker: worker.process.pid }, 'a worker has not stopped in time, and is killed');
      worker.process.kill('SIGKILL');
    }
  }

  #fork(): void {
    const { clock, log } = this.#deps;
    const startedMs = clock.monotonicMs();
    const worker = cluster.fork(this.#options.env);
    this.#live.add(worker);
    worker.on('message', (message: unknown) => {
      this.#figures.heard(worker, message);
      const addresses = parseServing(message);
      if (addresses === null) return;
      this.#addresses ??= addresses;
      this.#serving.add(worker);
      this.#figures.add(worker);
      if (this.#outdated.delete(worker)) worker.process.kill('SIGHUP');
      this.#onChange();
    });
    // A process that could not be made says `error` and no `exit`.
    const over = (how: string) => {
      if (!this.#live.delete(worker)) return;
      this.#serving.delete(worker);
      this.#outdated.delete(worker);
      this.#figures.remove(worker);
      this.#deaths = clock.monotonicMs() - startedMs >= longLifeMs ? 1 : this.#deaths + 1;
      if (!this.#isStopping) {
        log.error({ worker: worker.process.pid, how }, 'a worker has ended; another one takes its place');
        if (this.#addresses !== null) this.#forkLater();
      }
      this.#onChange();
    };
    worker.on('error', (error) => over(error.message));
    worker.on('exit', (code, signal) => over(signal ?? `exit code ${code}`));
  }

  #forkLater(): void {
    const delayMs = Math.min(restartMsMin * 2 ** (this.#deaths - 1), restartMsMax);
    const cancel = this.#deps.clock.after(delayMs, () => {
      this.#restarts.delete(cancel);
      this.#fork();
    });
    this.#restarts.add(cancel);
  }

  /** Rejects when workers end before any of them has served. */
  async #until(isSo: () => boolean): Promise<void> {
    while (!isSo()) {
      if (!this.#isStopping && this.#addresses === null && this.#live.size < this.#options.count) {
        throw new Error('a worker could not start (see above)');
      }
      await new Promise<void>((resolve) => {
        this.#onChange = resolve;
      });
    }
  }
}

interface WorkersDeps {
  readonly clock: Clock;
  readonly log: Log;
  /** What this process has counted; null: nothing. */
  readonly ownFigures: (() => Promise<Figures>) | null;
}

/** Whether this process is a worker of another one. */
export function isWorker(): boolean {
  return cluster.isWorker;
}

/** For a worker: says to the process that has started it that it serves. */
export function tellServing(addresses: Partial<WorkerAddresses>): void {
  process.send?.({ serving: addresses });
}

/** For a worker that has closed what it had: otherwise the channel to the other process keeps it alive. */
export function leaveWorkers(): void {
  cluster.worker?.disconnect();
}

function parseServing(message: unknown): WorkerAddresses | null {
  if (typeof message !== 'object' || message === null || !('serving' in message)) return null;
  const { grpc, http, data } = (message as { serving: Partial<WorkerAddresses> }).serving;
  return grpc === undefined || http === undefined || data === undefined ? null : { grpc, http, data };
}

/** One that dies now and then is back before its clients have dialled again; one that always dies costs little. */
const restartMsMin = 100;
const restartMsMax = 30_000;
const longLifeMs = 60_000;
/** What a worker does behind its drain: with the usual one it stays under the 10 s after which `docker stop` kills. */
const closingMsMax = 3_000;
