import type { Worker } from 'node:cluster';
import type { Clock } from '../domain/clock.ts';
import { countedBy, exposeTogether, type Figures } from '../observability/figures.ts';

/**
 * `/metrics` of processes that share a port: whichever of them is asked asks the process above it, which collects what all
 * of them have counted. It owns the last report of each, and what those had counted that have ended.
 *
 * Invariants: no counter goes back, neither when a worker ends nor when one is too busy to answer in time, since its
 * last report then stands; scrapes that come at once share one collection.
 */
export class WorkerFigures {
  readonly #clock: Clock;
  readonly #own: (() => Promise<Figures>) | null;
  readonly #workers = new Map<Worker, Figures>();
  readonly #asked = new Map<
    number,
    { readonly worker: Worker; readonly reported: (figures: Figures) => void }
  >();
  #ended: Promise<Figures> = Promise.resolve([]);
  #lastId = 0;
  #collecting: Promise<string> | null = null;

  /** `own`: of the process above, where it has any. */
  constructor(clock: Clock, own: (() => Promise<Figures>) | null) {
    this.#clock = clock;
    this.#own = own;
  }

  /** From when it serves. */
  add(worker: Worker): void {
    this.#workers.set(worker, []);
  }

  remove(worker: Worker): void {
    const last = this.#workers.get(worker);
    if (last === undefined) return;
    this.#workers.delete(worker);
    this.#ended = this.#ended.then((ended) => countedBy([ended, last]));
  }

  /** A message of a worker's; those that are about something else are not for us. */
  heard(worker: Worker, message: unknown): void {
    const { figuresWanted, figures } = (message ?? {}) as Partial<FiguresWanted & FiguresReported>;
    if (figuresWanted !== undefined) void this.#answer(worker, figuresWanted);
    if (figures === undefined) return;
    const asked = this.#asked.get(figures.id);
    if (asked?.worker === worker) asked.reported(figures.report);
  }

  async #answer(worker: Worker, id: number): Promise<void> {
    this.#collecting ??= this.#collect().finally(() => {
      this.#collecting = null;
    });
    const text = await this.#collecting.catch(() => null);
    tell(worker, { figuresOfAll: { id, text } } satisfies FiguresOfAllText);
  }

  async #collect(): Promise<string> {
    const own = this.#own?.().catch((): Figures => []) ?? [];
    const reports = [...this.#workers.keys()].map((worker) => this.#ask(worker));
    return exposeTogether(await Promise.all([own, ...reports, this.#ended]));
  }

  /** Its report, or the last one that it gave. */
  #ask(worker: Worker): Promise<Figures> {
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve) => {
      const done = (figures: Figures | undefined) => {
        cancel();
        this.#asked.delete(id);
        resolve(figures ?? []);
      };
      const cancel = this.#clock.after(reportMsMax, () => done(this.#workers.get(worker)));
      const reported = (figures: Figures) => {
        if (this.#workers.has(worker)) this.#workers.set(worker, figures);
        done(figures);
      };
      this.#asked.set(id, { worker, reported });
      tell(worker, { reportFigures: id } satisfies ReportFigures);
    });
  }
}

/** For a worker: gives its figures to the process above when that asks, and asks for those of all. */
export class FiguresOfAll implements AsyncDisposable {
  readonly #clock: Clock;
  readonly #figures: () => Promise<Figures>;
  readonly #waiting = new Map<number, (text: string | null) => void>();
  #lastId = 0;

  constructor(clock: Clock, figures: () => Promise<Figures>) {
    this.#clock = clock;
    this.#figures = figures;
    process.on('message', this.#onMessage);
  }

  /** In the Prometheus text format. Rejects rather than tell a part, which would look like counters that fell. */
  expose(): Promise<string> {
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve, reject) => {
      const done = (text: string | null) => {
        cancel();
        this.#waiting.delete(id);
        if (text === null) reject(new Error('the figures of the other processes could not be had'));
        else resolve(text);
      };
      const cancel = this.#clock.after(figuresOfAllMsMax, () => done(null));
      this.#waiting.set(id, done);
      process.send?.({ figuresWanted: id } satisfies FiguresWanted);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    process.off('message', this.#onMessage);
    for (const done of this.#waiting.values()) done(null);
  }

  readonly #onMessage = (message: unknown): void => {
    const { reportFigures: id, figuresOfAll } = (message ?? {}) as Partial<ReportFigures & FiguresOfAllText>;
    if (figuresOfAll !== undefined) this.#waiting.get(figuresOfAll.id)?.(figuresOfAll.text);
    if (id === undefined) return;
    this.#figures()
      .then((report) => process.send?.({ figures: { id, report } } satisfies FiguresReported))
      // The last report stands.
      .catch(() => {});
  };
}

/** The process above asks a worker for its figures … */
interface ReportFigures {
  readonly reportFigures: number;
}
/** … and has them. */
interface FiguresReported {
  readonly figures: { readonly id: number; readonly report: Figures };
}
/** A worker asks for those of all … */
interface FiguresWanted {
  readonly figuresWanted: number;
}
/** … and has them; null: they could not be put together. */
interface FiguresOfAllText {
  readonly figuresOfAll: { readonly id: number; readonly text: string | null };
}

/** One that is gone, or will be, needs no answer: it is told by its end. */
function tell(worker: Worker, message: ReportFigures | FiguresOfAllText): void {
  if (worker.isConnected()) worker.send(message, () => {});
}

/** Scrapers give up after ten seconds; a worker that is this late is busy with something long. */
const reportMsMax = 3_000;
const figuresOfAllMsMax = 8_000;
