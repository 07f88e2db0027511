import { WarmpoolError } from '../../src/domain/errors.ts';
import type { PoolStore, StoreEvent, StoreHealth } from '../../src/store/pool-store.ts';
import type { Actor } from './actor.ts';
import type { StoreServer } from './store-server.ts';
import type { World } from './world.ts';

/**
 * How one process reaches the store: every command takes its time in both directions, may be lost before or after it ran,
 * and may overtake another; events may be lost. A command that was sent to an earlier run of the server is never answered
 * by a later one. What the process knows of the store's health is what its commands have shown it, as with Redis.
 */
export class StoreWire {
  readonly #world: World;
  readonly #server: StoreServer;
  readonly #actor: Actor;
  readonly #observer: WireObserver;
  readonly #network: Network;
  #health: StoreHealth;

  constructor(deps: WireDeps) {
    this.#world = deps.world;
    this.#server = deps.server;
    this.#actor = deps.actor;
    this.#observer = deps.observer;
    this.#network = deps.network;
    this.#health = { healthy: true, sinceMs: deps.world.nowMs, runId: deps.server.runId };
  }

  /** The port that the process's code gets. Verbs that are added to it later need no change here. */
  port(): PoolStore {
    const special: Partial<PoolStore> = {
      storeId: 'simulated',
      open: async () => {},
      health: () => this.#health,
      follow: (_, signal) => this.#follow(signal),
      [Symbol.asyncDispose]: async () => {},
    };
    return new Proxy({} as PoolStore, {
      get: (_, name) => {
        const own: unknown = Reflect.get(special, name);
        if (own !== undefined || typeof name === 'symbol') return own;
        return (...args: readonly unknown[]) => this.#command(name, args);
      },
    });
  }

  #command(verb: string, args: readonly unknown[]): Promise<unknown> {
    const { runId } = this.#server;
    const timeoutMs = verb === 'claim' ? 1_500 : 5_000;
    return new Promise((resolve, reject) => {
      const fail = (afterMs: number, why: string) => {
        this.#world.after(afterMs, () =>
          this.#actor.deliver(() => {
            this.#becomes(false);
            reject(new WarmpoolError('STORE_UNAVAILABLE', why));
          }),
        );
      };
      if (this.#network.loses()) return fail(timeoutMs, 'the request was lost');
      this.#world.after(this.#network.delayMs(), async () => {
        if (this.#server.isAway) return fail(this.#network.loses() ? timeoutMs : 1, 'the store is away');
        if (this.#server.runId !== runId) return fail(1, 'the connection was closed');
        this.#identify();
        let answer: unknown;
        try {
          answer = await this.#server.run(verb, args);
        } catch (error) {
          this.#world.after(this.#network.delayMs(), () => this.#actor.deliver(() => reject(error)));
          return;
        }
        await this.#observer.ran(this.#actor.name, verb, args, answer);
        if (this.#network.loses()) return fail(timeoutMs, 'the answer was lost');
        this.#world.after(this.#network.delayMs(), () => {
          if (this.#server.runId !== runId) return fail(0, 'the connection was closed');
          this.#actor.deliver(() => {
            this.#becomes(true);
            resolve(answer);
          });
        });
      });
    });
  }

  /** A connection begins with asking the server who it is. */
  #identify(): void {
    const { runId } = this.#server;
    if (this.#health.runId === runId) return;
    this.#health = { healthy: false, sinceMs: this.#world.nowMs, runId };
  }

  #becomes(healthy: boolean): void {
    if (this.#health.healthy === healthy) return;
    this.#health = { ...this.#health, healthy, sinceMs: this.#world.nowMs };
  }

  /** Cursors are not read: a follower that begins anew begins with what happens from now on. */
  async #follow(signal: AbortSignal): Promise<AsyncIterable<readonly StoreEvent[]>> {
    await this.#command('nodes', []);
    let waiting: readonly StoreEvent[] = [];
    let wake = () => {};
    let lastMs = 0;
    const { runId } = this.#server;
    const stop = this.#server.follow((events) => {
      if (this.#network.loses()) return;
      lastMs = Math.max(lastMs, this.#world.nowMs + this.#network.delayMs());
      this.#world.after(lastMs - this.#world.nowMs, () =>
        this.#actor.deliver(() => {
          waiting = [...waiting, ...events];
          wake();
        }),
      );
    });
    this.#actor.whenDead(stop);
    signal.addEventListener('abort', () => wake());
    const server = this.#server;
    async function* read(): AsyncGenerator<readonly StoreEvent[]> {
      try {
        while (!signal.aborted) {
          const batch = waiting;
          waiting = [];
          if (batch.length > 0) yield batch;
          else {
            await new Promise<void>((resolve) => {
              wake = resolve;
            });
          }
          // What a server that was put back says next does not go on from what it has said.
          if (server.runId !== runId) throw new WarmpoolError('INVALID_REQUEST', "not this store's cursor");
        }
      } finally {
        stop();
      }
    }
    return read();
  }
}

/** What the way between two processes does to a message now. */
export interface Network {
  delayMs(): number;
  loses(): boolean;
}

export interface WireObserver {
  /** A command has run, whether or not anybody learns of it. */
  ran(who: string, verb: string, args: readonly unknown[], answer: unknown): Promise<void>;
}

export interface WireDeps {
  readonly world: World;
  readonly server: StoreServer;
  readonly actor: Actor;
  readonly observer: WireObserver;
  readonly network: Network;
}
