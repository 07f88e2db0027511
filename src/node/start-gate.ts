/**
 * Admits boots on this host. A foreground boot (somebody waits for it) goes before any refill and is limited only by
 * `foregroundMax`; a refill waits while a foreground boot waits, and while foreground boots run only one refill runs
 * beside them. So a miss with replenishing on is about as fast as with it off, and refilling never stops altogether
 * (a delay that re-arms under steady load would starve the pool).
 */
export class StartGate {
  readonly #foregroundMax: number;
  readonly #refillMax: number;
  readonly #waiting: { foreground: Waiter[]; refill: Waiter[] } = { foreground: [], refill: [] };
  #foreground = 0;
  #refills = 0;

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
      if (kind === 'foreground') this.#foreground += 1;
      else this.#refills += 1;
      waiter();
    }
  }

  #admissible(): StartKind | null {
    if (this.#waiting.foreground.length > 0) {
      return this.#foreground < this.#foregroundMax ? 'foreground' : null;
    }
    const refillMax = this.#foreground > 0 ? 1 : this.#refillMax;
    return this.#waiting.refill.length > 0 && this.#refills < refillMax ? 'refill' : null;
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
