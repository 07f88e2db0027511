import assert from 'node:assert/strict';
import { setTimeout as elapse } from 'node:timers/promises';
import { SystemClock } from '../../src/domain/clock.ts';
import { isWarmpoolError } from '../../src/domain/errors.ts';
import { shardOfPool, shardTag } from '../../src/domain/ids.ts';
import type { ClaimAnswer, ClaimRequest } from '../../src/store/pool-store.ts';
import { RedisPoolStore } from '../../src/store/redis/redis-pool-store.ts';
import type { RedisCluster } from './redis-cluster.ts';
import { StoreScenario } from './store-scenario.ts';
import { until } from './until.ts';

/**
 * A store whose claims wait for the replica: without that a master may die between its answer and what it sends to its
 * replica. A replica that is too slow for that is admitted, and counted.
 */
export class DurableStore extends RedisPoolStore {
  readonly admitted: { count: number };

  static async open(url: string): Promise<DurableStore> {
    const store = new DurableStore(url, { count: 0 });
    await store.open();
    return store;
  }

  private constructor(url: string, admitted: { count: number }) {
    const claimNotReplicated = () => {
      admitted.count += 1;
    };
    super(
      { clock: new SystemClock(), warn: () => {}, observer: { claimNotReplicated } },
      { url, durability: 'wait' },
    );
    this.admitted = admitted;
  }
}

const unavailable = (error: unknown) => isWarmpoolError(error) && error.code === 'STORE_UNAVAILABLE';

/** What a caller does whose answer was lost: it asks the same again until it is told. Any other failure is one. */
async function claimUntilAnswered(store: RedisPoolStore, request: ClaimRequest): Promise<ClaimAnswer> {
  for (;;) {
    try {
      return await store.claim(request);
    } catch (error) {
      if (!unavailable(error)) throw error;
      await elapse(20);
    }
  }
}

/** Claims one after the other until it is told to stop, or all that was ready is gone. */
export class Claimer {
  readonly winners = new Map<string, ClaimRequest>();
  readonly #stop = new AbortController();
  readonly #claiming: Promise<void>;

  constructor(store: RedisPoolStore, { scenario, ready }: Filled) {
    this.#claiming = this.#claim(store, scenario, ready);
  }

  async #claim(store: RedisPoolStore, scenario: StoreScenario, ready: number): Promise<void> {
    while (!this.#stop.signal.aborted && this.winners.size < ready) {
      const request = scenario.request();
      const answer = await claimUntilAnswered(store, request);
      assert.equal(answer.kind, 'claimed');
      assert.equal(this.winners.has(answer.record.id), false, 'one sandbox was given to two requests');
      this.winners.set(answer.record.id, request);
      // A pace at which what is ready lasts for as long as the failover takes.
      await elapse(10);
    }
  }

  /** Settles when this many more than now were given out. */
  async more(count: number): Promise<void> {
    const before = this.winners.size;
    await Promise.race([until(() => this.winners.size >= before + count, `${count} claims`), this.#claiming]);
  }

  async stop(): Promise<ReadonlyMap<string, ClaimRequest>> {
    this.#stop.abort();
    await this.#claiming;
    return this.winners;
  }
}

export interface Filled {
  readonly scenario: StoreScenario;
  readonly ready: number;
}

export async function filled(store: RedisPoolStore, pool: string, count: number): Promise<Filled> {
  const scenario = new StoreScenario(store, pool);
  await scenario.declare({ minReady: count, maxReady: count, maxTotal: 2 * count, startsInFlightMax: count });
  await Promise.all(Array.from({ length: count }, () => scenario.ready()));
  return { scenario, ready: count };
}

/** Each request that was answered gets the same sandbox again, but for the claims that no replica was known to have. */
export async function assertKept(
  store: DurableStore,
  pool: string,
  winners: ReadonlyMap<string, ClaimRequest>,
): Promise<void> {
  const hits = (await store.readPool(pool))?.counters.hits;
  let lost = 0;
  for (const [id, request] of winners) {
    const answer = await store.claim(request);
    if (!(answer.kind === 'claimed' && answer.repeated && answer.record.id === id)) lost += 1;
  }
  assert.ok(lost <= store.admitted.count, `${lost} lost, ${store.admitted.count} admitted`);
  assert.equal(hits, winners.size - lost);
}

/** Names of two pools whose shards two different masters have. */
export async function poolsOnTwoMasters(cluster: RedisCluster): Promise<readonly string[]> {
  const pools = new Map<string, string>();
  for (let number = 0; pools.size < 2; number += 1) {
    const pool = `pool-${number}`;
    const { id } = await cluster.masterOf(`wp:${shardTag(shardOfPool(pool))}:`);
    if (!pools.has(id)) pools.set(id, pool);
  }
  return [...pools.values()];
}
