import type { Clock } from '../domain/clock.ts';

/**
 * Finds a client that has vanished without a word: pings on a timer, and cuts the connection when two pings in a row
 * were followed by silence. Any message counts as a sign of life, not the pong alone: a pong waits behind whatever the
 * client has still to read, and one that reads slowly is not dead.
 */
export class Heartbeat {
  readonly #clock: Clock;
  readonly #pingMs: number;
  readonly #ping: () => void;
  readonly #cut: () => void;
  #unanswered = 0;
  #cancel: () => void;

  constructor(clock: Clock, options: { pingMs: number; ping: () => void; cut: () => void }) {
    this.#clock = clock;
    this.#pingMs = options.pingMs;
    this.#ping = options.ping;
    this.#cut = options.cut;
    this.#cancel = clock.after(this.#pingMs, () => this.#beat());
  }

  heard(): void {
    this.#unanswered = 0;
  }

  stop(): void {
    this.#cancel();
  }

  #beat(): void {
    if (this.#unanswered >= unansweredMax) {
      this.#cut();
      return;
    }
    this.#unanswered += 1;
    this.#cancel = this.#clock.after(this.#pingMs, () => this.#beat());
    this.#ping();
  }
}

const unansweredMax = 2;
/** Below the 30 s after which the impatient among proxies cut an idle connection, and two of them within I14's 45 s. */
export const pingMsDefault = 15_000;
