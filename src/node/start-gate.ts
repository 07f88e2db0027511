/**
 * Admits boots on this host. A foreground boot (somebody waits for it) goes before any refill and is limited only by
 * `foregroundMax`. While foreground boots wait or run, refills wait, but for one in `foregroundPerRefill`: so a miss with
 * replenishing on is as fast as with it off, and a steady stream of misses does not stop refilling altogether (a delay
 * that re-arms under load would starve the pool).
 */
export class StartGate {
  readonly #foregroundMax: number;
  readonly #refillMax: number;
  readonly #waiting: { foreground: Waiter[]; refill: Waiter[] } = { foreground: [], refill: [] };
  #foreground = 0;
  #refills = 0;
  #foregroundSinceRefill = 0;

  constructor(options: { foregroundMax: number; refillMax: number }) {
    this.#foregroundMax = options.foregroundMax;
    this.#refillMax = options.refillMax;
  }

  /** Settles with the function that leaves again; rejects with the signal's reason. */
  enter(kind: StartKind, signal: AbortSignal): Promise<() => void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason);
        return;
      }
      const line = this.#waiting[kind];
      const onAbort = () => {
        line.splice(line.indexOf(waiter), 1);
        reject(signal.reason);
      };
      const waiter: Waiter = () => {
        signal.removeEventListener('abort', onAbort);
        resolve(this.#leaveOnce(kind));
      };
      signal.addEventListener('abort', onAbort);
      line.push(waiter);
      this.#admit();
    });
  }

  #admit(): void {
    for (;;) {
      const kind = this.#admissible();
      const waiter = kind && this.#waiting[kind].shift();
      if (!kind || !waiter) return;
      if (kind === 'foreground') {
        this.#foreground += 1;
        this.#foregroundSinceRefill += 1;
      } else {
        this.#refills += 1;
        this.#foregroundSinceRefill = 0;
      }
      waiter();
    }
  }

  #admissible(): StartKind | null {
    const { foreground, refill } = this.#waiting;
    const mayRefill = refill.length > 0 && this.#refills < this.#refillMax;
    const isBusy = this.#foreground > 0 || foreground.length > 0;
    if (mayRefill && (!isBusy || this.#foregroundSinceRefill >= foregroundPerRefill)) return 'refill';
    return foreground.length > 0 && this.#foreground < this.#foregroundMax ? 'foreground' : null;
  }

  #leaveOnce(kind: StartKind): () => void {
    let left = false;
    return () => {
      if (left) return;
      left = true;
      if (kind === 'foreground') this.#foreground -= 1;
      else this.#refills -= 1;
      this.#admit();
    };
  }
}

export type StartKind = 'foreground' | 'refill';
type Waiter = () => void;

/** Refills take at most a sixteenth of the boots, some 6 %, while somebody waits for boots of his own. */
const foregroundPerRefill = 16;
