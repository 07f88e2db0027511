import { noPayload } from '../../protocol/frame.ts';
import { Deferred } from '../deferred.ts';
import { WarmpoolClientError } from './warmpool-client-error.ts';

/**
 * Whether the node is still there, and how far away it is. The node's own pings cannot be seen from inside a browser,
 * so this side asks too, once in a period: nothing heard for two of them means that the connection is gone, though no
 * one said so (a laptop that slept, a cable that was pulled, a proxy that forgot).
 */
export class Heartbeat {
  readonly #ping: (payload: Uint8Array, id: number) => void;
  readonly #onSilence: () => void;
  readonly #sent = new Map<number, { readonly atMs: number; readonly answer: Deferred<number> }>();
  #timer: ReturnType<typeof setInterval> | undefined;
  #heardSinceTick = true;
  #silentTicks = 0;
  #lastId = 0;
  #latencyMs: number | null = null;

  constructor(deps: {
    readonly ping: (payload: Uint8Array, id: number) => void;
    readonly onSilence: () => void;
  }) {
    this.#ping = deps.ping;
    this.#onSilence = deps.onSilence;
  }

  get latencyMs(): number | null {
    return this.#latencyMs;
  }

  start(periodMs: number): void {
    this.#timer = setInterval(() => this.#tick(), Math.max(periodMs, periodMsMin));
  }

  stop(): void {
    clearInterval(this.#timer);
    const error = new WarmpoolClientError('connection_lost', 'the connection is gone');
    for (const { answer } of this.#sent.values()) answer.reject(error);
    this.#sent.clear();
  }

  /** Anything came from the node. */
  heard(): void {
    this.#heardSinceTick = true;
  }

  measure(): Promise<number> {
    this.#lastId = (this.#lastId % idMax) + 1;
    const answer = new Deferred<number>();
    this.#sent.set(this.#lastId, { atMs: performance.now(), answer });
    this.#ping(noPayload, this.#lastId);
    return answer.promise;
  }

  answered(id: number): void {
    const ping = this.#sent.get(id);
    if (ping === undefined) return;
    this.#sent.delete(id);
    this.#latencyMs = performance.now() - ping.atMs;
    ping.answer.resolve(this.#latencyMs);
  }

  #tick(): void {
    this.#silentTicks = this.#heardSinceTick ? 0 : this.#silentTicks + 1;
    this.#heardSinceTick = false;
    if (this.#silentTicks >= 2) this.#onSilence();
    else void this.measure();
  }
}

/** A node may not make its clients spin. */
const periodMsMin = 100;
/** Ids only have to differ among the few pings under way. */
const idMax = 0xffff;
