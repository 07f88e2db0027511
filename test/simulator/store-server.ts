import { MemoryPoolStore } from '../../src/store/memory/memory-pool-store.ts';
import type { PoolStore, StoreEvent } from '../../src/store/pool-store.ts';
import { epochMs } from './actor.ts';
import type { World } from './world.ts';

/**
 * The store as a server that can be away, and can come back with less than it had. Its state is the reference store's; the
 * commands that changed it are kept with their times, so that a copy of any age is made by running them again.
 */
export class StoreServer {
  readonly #world: World;
  readonly #options: StoreServerOptions;
  readonly #followers = new Set<(events: readonly StoreEvent[]) => void>();
  #store: PoolStore;
  #commands: Command[] = [];
  #skewMs = 0;
  /** While old commands are run again: the time they were run at. */
  #replayedAtMs: number | null = null;
  #pump = new AbortController();
  #runNumber = 1;
  isAway = false;

  constructor(world: World, options: StoreServerOptions) {
    this.#world = world;
    this.#options = options;
    this.#store = this.#empty();
    this.#follow();
  }

  /** Changes with every restart. */
  get runId(): string {
    return `run-${this.#runNumber}`;
  }

  /** The state itself, for those who look at it from above. */
  get store(): PoolStore {
    return this.#store;
  }

  /** Runs a command now. */
  async run(verb: string, args: readonly unknown[]): Promise<unknown> {
    if (!isReading.has(verb)) this.#commands.push({ verb, args, atMs: this.#nowMs() });
    return invoke(this.#store, verb, args);
  }

  follow(follower: (events: readonly StoreEvent[]) => void): () => void {
    this.#followers.add(follower);
    return () => this.#followers.delete(follower);
  }

  /** Comes back as it was `ageMs` ago, as another run; with an infinite age it comes back empty. */
  async restart(ageMs: number): Promise<void> {
    const untilMs = this.#nowMs() - ageMs;
    this.#runNumber += 1;
    this.#commands = this.#commands.filter(({ atMs }) => atMs <= untilMs);
    const replayed = this.#empty();
    for (const { verb, args, atMs } of this.#commands) {
      this.#replayedAtMs = atMs;
      await invoke(replayed, verb, args);
    }
    this.#replayedAtMs = null;
    this.#store = replayed;
    this.#follow();
  }

  /** Its clock goes forth or back by this much, and goes on from there. */
  jump(byMs: number): void {
    this.#skewMs += byMs;
  }

  #nowMs(): number {
    return this.#replayedAtMs ?? this.#world.nowMs + this.#skewMs;
  }

  #empty(): PoolStore {
    const clock = {
      monotonicMs: () => this.#nowMs(),
      wallMs: () => epochMs + this.#nowMs(),
      after: () => {
        throw new Error('the reference store has no timers');
      },
    };
    return this.#options.mutated(new MemoryPoolStore({ clock }));
  }

  /** Followers are told of what happens from now on, in its order. */
  #follow(): void {
    this.#pump.abort();
    this.#pump = new AbortController();
    const { signal } = this.#pump;
    const following = this.#store.follow(null, signal);
    const pump = async () => {
      for await (const events of await following) {
        if (signal.aborted) return;
        for (const follower of [...this.#followers]) follower(events);
      }
    };
    void pump();
  }
}

export interface StoreServerOptions {
  /** The store with one of its guards taken out; the store itself when none is. */
  readonly mutated: (store: PoolStore) => PoolStore;
}

interface Command {
  readonly verb: string;
  readonly args: readonly unknown[];
  /** By the server's clock. */
  readonly atMs: number;
}

function invoke(store: PoolStore, verb: string, args: readonly unknown[]): Promise<unknown> {
  const method: unknown = Reflect.get(store, verb, store);
  if (typeof method !== 'function') throw new Error(`the store has no verb ${verb}`);
  return Reflect.apply(method, store, [...args]);
}

/** Verbs that change nothing need not be run again. Whatever is not named here is. */
const isReading: ReadonlySet<string> = new Set(['get', 'list', 'readPool', 'inventory', 'nodes', 'due']);
