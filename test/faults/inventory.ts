import { SystemClock } from '../../src/domain/clock.ts';
import { newSandboxId, shardOfPool } from '../../src/domain/ids.ts';
import type { PoolSpec } from '../../src/domain/pool-spec.ts';
import { specVersionOf } from '../../src/domain/spec-version.ts';
import { RedisPoolStore } from '../../src/store/redis/redis-pool-store.ts';

/**
 * Ready sandboxes of which there is nothing but the record, of a node that is nothing but a heartbeat: claims by the
 * thousand need more than any machine boots in the time of a test. It uses the store as a node does.
 */
export class Inventory implements AsyncDisposable {
  readonly store: RedisPoolStore;
  readonly #clock = new SystemClock();
  #cancel: () => void = () => {};

  private constructor(url: string) {
    this.store = new RedisPoolStore({ clock: this.#clock, warn: () => {} }, { url });
  }

  /** Declares the pool so large that it wants them all; whoever serves it later declares its own size. */
  static async fill(url: string, spec: PoolSpec, count: number): Promise<Inventory> {
    const inventory = new Inventory(url);
    await inventory.store.open();
    await inventory.#fill(spec, count);
    return inventory;
  }

  async #fill(spec: PoolSpec, count: number): Promise<void> {
    const { store } = this;
    await this.#beat();
    const specVersion = specVersionOf(spec.template);
    const room = { minReady: count, maxReady: count, maxTotal: 2 * count, startsInFlightMax: count };
    await store.declarePool({ name: spec.name, specVersion, size: { ...spec.size, ...room } });
    let left = count;
    await Promise.all(
      Array.from({ length: 64 }, async () => {
        while (left > 0) {
          left -= 1;
          const id = newSandboxId(shardOfPool(spec.name));
          const slot = { id, pool: spec.name, nodeId, specVersion, bootTimeoutMs: 600_000 };
          const answer = await store.reserveStart(slot);
          if (answer.kind !== 'reserved') throw new Error(`no slot: ${answer.why}`);
          await store.reportReady({ id, nodeId, incarnation: answer.record.incarnation });
        }
      }),
    );
  }

  /** Whoever has no heartbeat is taken for lost, and its sandboxes with it. */
  async #beat(): Promise<void> {
    const status = {
      ...{ nodeId, runtimes: ['bubblewrap'], pools: [], draining: false, obeys: null },
      ...{ sandboxes: 0, capacity: 1_000_000 },
    };
    await this.store.heartbeat(status).catch(() => {});
    this.#cancel = this.#clock.after(500, () => void this.#beat());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#cancel();
    await this.store[Symbol.asyncDispose]();
  }
}

const nodeId = 'inventory';
