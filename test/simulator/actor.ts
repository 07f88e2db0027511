import type { Clock } from '../../src/domain/clock.ts';
import type { World } from './world.ts';

/**
 * One life of a process: everything that comes in to it from outside (timers, answers, events, calls) is delivered here.
 *
 *   alive ⇄ stalled      alive, stalled → dead
 *
 * A dead one gets nothing any more, so whatever its code was waiting for stays pending for ever: a crash at that await. A
 * stalled one gets it all when it goes on, as after a SIGSTOP, and finds that time has passed.
 */
export class Actor {
  readonly name: string;
  readonly clock: Clock;
  readonly #world: World;
  #state: 'alive' | 'stalled' | 'dead' = 'alive';
  #stalledAtMs = Number.NEGATIVE_INFINITY;
  #held: (() => void)[] = [];
  readonly #onDeath = new Set<() => void>();

  /** `wallSkewMs`: how wrong this host's wall clock is. */
  constructor(world: World, name: string, wallSkewMs: number) {
    this.name = name;
    this.#world = world;
    this.clock = {
      monotonicMs: () => world.nowMs,
      wallMs: () => epochMs + world.nowMs + wallSkewMs,
      after: (delayMs, callback) => this.after(delayMs, callback),
    };
  }

  get isAlive(): boolean {
    return this.#state !== 'dead';
  }

  get isStalled(): boolean {
    return this.#state === 'stalled';
  }

  /** When it last could not do anything. */
  get stalledAtMs(): number {
    return this.isStalled ? this.#world.nowMs : this.#stalledAtMs;
  }

  deliver(callback: () => void): void {
    if (this.#state === 'alive') callback();
    else if (this.#state === 'stalled') this.#held.push(callback);
  }

  after(delayMs: number, callback: () => void): () => void {
    let isCancelled = false;
    const cancel = this.#world.after(delayMs, () =>
      this.deliver(() => {
        if (!isCancelled) callback();
      }),
    );
    return () => {
      isCancelled = true;
      cancel();
    };
  }

  /** The promise as this process learns of it. */
  awaits<T>(outside: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      outside.then(
        (value) => this.deliver(() => resolve(value)),
        (error: unknown) => this.deliver(() => reject(error)),
      );
    });
  }

  /** Called at its death; the returned function forgets that. */
  whenDead(callback: () => void): () => void {
    this.#onDeath.add(callback);
    return () => this.#onDeath.delete(callback);
  }

  stall(): void {
    if (this.#state === 'alive') this.#state = 'stalled';
  }

  goOn(): void {
    if (this.#state !== 'stalled') return;
    this.#state = 'alive';
    this.#stalledAtMs = this.#world.nowMs;
    const held = this.#held;
    this.#held = [];
    for (const callback of held) this.#world.after(0, () => this.deliver(callback));
  }

  die(): void {
    if (this.#state === 'dead') return;
    this.#state = 'dead';
    this.#held = [];
    for (const callback of this.#onDeath) callback();
    this.#onDeath.clear();
  }
}

/** Some Tuesday. */
export const epochMs = 1_700_000_000_000;
