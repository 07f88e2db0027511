import { newSandboxId, shardOfPool } from '../../src/domain/ids.ts';
import type { PoolSpec } from '../../src/domain/pool-spec.ts';
import type { SandboxRecord } from '../../src/domain/sandbox.ts';
import { specVersionOf } from '../../src/domain/spec-version.ts';
import type { PoolStore } from '../../src/store/pool-store.ts';
import { forEachInFlight } from '../measure/throughput.ts';

/** A pool without bounds: what is measured is the claim, and nothing boots behind these records. */
export const prefilledSpec: PoolSpec = {
  name: 'bench',
  template: {
    image: 'warmpool/base',
    rootfs: 'host',
    runtime: 'auto',
    ociRuntime: '',
    user: 'user',
    cwd: '/home/user',
    env: {},
    warmup: [],
    ready: { exec: ['true'] },
    resources: { cpu: 1, memoryMb: 512, diskMb: 1_024, pids: 256 },
    bootTimeoutMs: 600_000,
  },
  size: {
    minReady: 1_000_000,
    maxReady: 1_000_000,
    maxTotal: 2_000_000,
    startsInFlightMax: 1_000_000,
    maxIdleAgeMs: 86_400_000,
    onMiss: 'cold',
    targetHitRatio: 0,
    burst: 0,
    scaleToZeroAfterMs: 600_000,
  },
  waiting: { max: 256, perTenantMax: 64 },
  lease: { ttlMs: 3_600_000, maxLifetimeMs: 86_400_000, onExpiry: 'kill' },
};

export const prefilledNode = 'bench-node';

/** Requests on their way at once while filling: they share the connection's packets. */
const fillInFlight = 128;

/** Ready records made by the store's own verbs, as a node makes them, without a sandbox behind any. */
export class PrefilledPool {
  readonly #store: PoolStore;
  readonly #specVersion = specVersionOf(prefilledSpec.template);

  constructor(store: PoolStore) {
    this.#store = store;
  }

  async declare(): Promise<void> {
    const { name, size } = prefilledSpec;
    await this.#store.declarePool({ name, specVersion: this.#specVersion, size });
  }

  async fill(count: number): Promise<void> {
    await forEachInFlight(count, fillInFlight, () => this.addReady());
  }

  async addReady(): Promise<void> {
    const { name, template } = prefilledSpec;
    const answer = await this.#store.reserveStart({
      id: newSandboxId(shardOfPool(name)),
      pool: name,
      nodeId: prefilledNode,
      specVersion: this.#specVersion,
      bootTimeoutMs: template.bootTimeoutMs,
    });
    if (answer.kind !== 'reserved') throw new Error(`the pool takes no more: ${answer.why}`);
    const { id, nodeId, incarnation } = answer.record;
    const ready = await this.#store.reportReady({ id, nodeId, incarnation });
    if (ready.kind !== 'done') throw new Error(`a start could not be reported: ${ready.why}`);
  }

  /** Ends a claimed one as its owner and its node would. */
  async end(record: SandboxRecord): Promise<void> {
    const { id, nodeId, incarnation } = record;
    await this.#store.beginStop({ id, tenant: null }, 'deleted');
    await this.#store.finishStop({ id, nodeId, incarnation });
  }
}
