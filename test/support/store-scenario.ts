import assert from 'node:assert/strict';
import { newClaimId, newSandboxId, shardOfPool } from '../../src/domain/ids.ts';
import type { PoolSize } from '../../src/domain/pool-spec.ts';
import type { SandboxRecord } from '../../src/domain/sandbox.ts';
import type { ClaimAnswer, ClaimRequest, NodeFence, PoolStore } from '../../src/store/pool-store.ts';

/** Large enough to be in nobody's way; tests that are about a limit say so. */
export const roomySize: PoolSize = {
  minReady: 100,
  maxReady: 100,
  maxTotal: 1_000,
  startsInFlightMax: 100,
  maxIdleAgeMs: 3_600_000,
  onMiss: 'cold',
  targetHitRatio: 0,
  burst: 0,
  scaleToZeroAfterMs: 600_000,
};

export const hourMs = 3_600_000;

/** Short sentences for what most tests of a store do first. */
export class StoreScenario {
  readonly store: PoolStore;
  readonly pool: string;
  readonly nodeId = 'node-a';
  #requests = 0;

  constructor(store: PoolStore, pool = 'base') {
    this.store = store;
    this.pool = pool;
  }

  declare(size: Partial<PoolSize> = {}, specVersion = 'v1') {
    return this.store.declarePool({ name: this.pool, specVersion, size: { ...roomySize, ...size } });
  }

  newId(): string {
    return newSandboxId(shardOfPool(this.pool));
  }

  reserve(change: { id?: string; nodeId?: string; specVersion?: string; bootTimeoutMs?: number } = {}) {
    return this.store.reserveStart({
      id: this.newId(),
      pool: this.pool,
      nodeId: this.nodeId,
      specVersion: 'v1',
      bootTimeoutMs: 60_000,
      ...change,
    });
  }

  async starting(
    change: { id?: string; nodeId?: string; bootTimeoutMs?: number } = {},
  ): Promise<SandboxRecord> {
    const answer = await this.reserve(change);
    assert.equal(answer.kind, 'reserved');
    return answer.record;
  }

  async ready(change: { id?: string; nodeId?: string } = {}): Promise<SandboxRecord> {
    const answer = await this.store.reportReady(fence(await this.starting(change)));
    assert.equal(answer.kind, 'done');
    return answer.record;
  }

  request(change: Partial<ClaimRequest> = {}): ClaimRequest {
    this.#requests += 1;
    return {
      pool: this.pool,
      tenant: 'alice',
      requestId: `request-${this.#requests}`,
      bodyHash: 'body',
      claimId: newClaimId(),
      leaseTtlMs: 60_000,
      maxLifetimeMs: hourMs,
      onExpiry: 'kill',
      customisation: { env: { A: '1' }, metadata: {} },
      warm: true,
      cold: null,
      ...change,
    };
  }

  claim(change: Partial<ClaimRequest> = {}): Promise<ClaimAnswer> {
    return this.store.claim(this.request(change));
  }

  /** A warm sandbox that was claimed. */
  async claimed(change: Partial<ClaimRequest> = {}): Promise<SandboxRecord> {
    await this.ready();
    const answer = await this.claim(change);
    assert.equal(answer.kind, 'claimed');
    return answer.record;
  }

  /** A cold start that was reserved for a claim. */
  async coldStart(change: Partial<ClaimRequest> = {}, bootTimeoutMs = 60_000): Promise<SandboxRecord> {
    const cold = { id: this.newId(), nodeId: this.nodeId, bootTimeoutMs };
    const answer = await this.claim({ cold, ...change });
    assert.equal(answer.kind, 'starting');
    return answer.record;
  }
}

export function fence({ id, nodeId, incarnation }: SandboxRecord): NodeFence {
  return { id, nodeId, incarnation };
}
