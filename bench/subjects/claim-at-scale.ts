import { ClosingStack } from '../../src/closing-stack.ts';
import { SystemClock } from '../../src/domain/clock.ts';
import { newClaimId, newSandboxId, shardOfPool } from '../../src/domain/ids.ts';
import type { SandboxRecord } from '../../src/domain/sandbox.ts';
import type { ClaimRequest } from '../../src/store/pool-store.ts';
import { RedisPoolStore } from '../../src/store/redis/redis-pool-store.ts';
import { RedisServer } from '../../test/support/redis-server.ts';
import { requirement } from '../../test/support/requirements.ts';
import { takeTurns } from '../measure/take-turns.ts';
import { forEachInFlight } from '../measure/throughput.ts';
import { atMost, type Outcome, spread } from '../outcome.ts';
import { type Bench, type Subject, skipped } from '../subject.ts';
import { PrefilledPool, prefilledNode, prefilledSpec } from './prefilled-pool.ts';

/**
 * S10: whether a claim costs more with more sandboxes in the store. Three Redis servers hold 100, 10,000 and 100,000,
 * half of them ready and half running; claims go round them, and after each the claimed one ends and another becomes
 * ready, so that the numbers stay.
 */
export const claimAtScale: Subject = { id: 'S10', run };

const scales = [100, 10_000, 100_000] as const;
const warmupRounds = 300;
const fillInFlight = 128;

async function run(bench: Bench): Promise<readonly Outcome[]> {
  if (!bench.options.stores.has('redis')) return [skipped('S10', 'redis', 'not asked for')];
  const { skip } = await requirement('redis');
  if (skip !== false) return [skipped('S10', 'redis', skip)];
  const started = new ClosingStack();
  try {
    const stores: ScaledStore[] = [];
    for (const sandboxes of scales) {
      bench.progress(`S10: filling a store with ${sandboxes}`);
      stores.push(await ScaledStore.start(started, sandboxes, bench.signal));
    }
    const samples = await takeTurns(
      stores.map((store) => ({ name: String(store.sandboxes), run: () => store.claim() })),
      {
        samples: bench.options.samples,
        warmupRounds,
        signal: bench.signal,
        betweenRounds: async () => {
          for (const store of stores) await store.restock();
        },
        onRound: (done, of) => bench.progress(`S10: ${done} of ${of}`),
      },
    );
    return [outcomeOf(stores.map(({ sandboxes }) => ({ sandboxes, samples: samples[String(sandboxes)] })))];
  } finally {
    await started[Symbol.asyncDispose]();
  }
}

class ScaledStore {
  readonly sandboxes: number;
  readonly #store: RedisPoolStore;
  readonly #pool: PrefilledPool;
  #claimed: SandboxRecord | null = null;

  static async start(started: ClosingStack, sandboxes: number, signal: AbortSignal): Promise<ScaledStore> {
    const server = started.use(await RedisServer.start());
    const deps = { clock: new SystemClock(), warn() {} };
    const store = started.use(new RedisPoolStore(deps, { url: server.url }));
    await store.open();
    const scaled = new ScaledStore(sandboxes, store);
    await scaled.#fill(signal);
    return scaled;
  }

  private constructor(sandboxes: number, store: RedisPoolStore) {
    this.sandboxes = sandboxes;
    this.#store = store;
    this.#pool = new PrefilledPool(store);
  }

  async claim(): Promise<number> {
    const request = claimRequest();
    const startedMs = performance.now();
    const answer = await this.#store.claim(request);
    const tookMs = performance.now() - startedMs;
    if (answer.kind !== 'claimed') throw new Error(`a claim was answered with ${answer.kind}`);
    this.#claimed = answer.record;
    return tookMs;
  }

  async restock(): Promise<void> {
    if (this.#claimed) await this.#pool.end(this.#claimed);
    this.#claimed = null;
    await this.#pool.addReady();
  }

  async #fill(signal: AbortSignal): Promise<void> {
    await this.#pool.declare();
    await forEachInFlight(this.sandboxes, fillInFlight, () => {
      signal.throwIfAborted();
      return this.#pool.addReady();
    });
    await forEachInFlight(this.sandboxes / 2, fillInFlight, () => {
      signal.throwIfAborted();
      return this.#store.claim(claimRequest());
    });
  }
}

/** As the allocator sends it for a create that names nothing but the template. */
export function claimRequest(requestId = `made-${newClaimId()}`): ClaimRequest {
  const { name, lease, template } = prefilledSpec;
  return {
    pool: name,
    tenant: 'default',
    requestId,
    bodyHash: '',
    claimId: newClaimId(),
    leaseTtlMs: lease.ttlMs,
    maxLifetimeMs: lease.maxLifetimeMs,
    onExpiry: lease.onExpiry,
    customisation: { env: {}, metadata: {} },
    warm: true,
    cold: {
      id: newSandboxId(shardOfPool(name)),
      nodeId: prefilledNode,
      bootTimeoutMs: template.bootTimeoutMs,
    },
  };
}

function outcomeOf(
  scaled: readonly {
    readonly sandboxes: number;
    readonly samples: Awaited<ReturnType<typeof takeTurns>>[string] | undefined;
  }[],
): Outcome {
  const measured = scaled.map(({ sandboxes, samples }) => {
    if (!samples) throw new Error(`${sandboxes} were not measured`);
    return { sandboxes, summary: samples.summary() };
  });
  const medians = measured.map(({ summary }) => summary.p50);
  const [fastest, slowest] = [Math.min(...medians), Math.max(...medians)];
  return {
    kind: 'measured',
    subject: 'S10',
    on: 'redis',
    figures: measured.map(({ sandboxes, summary }) =>
      spread(`S10 claim with ${sandboxes.toLocaleString('en')} sandboxes in the store`, summary),
    ),
    gates: [
      atMost(
        'p50 within 1.3 × of each other',
        slowest / fastest,
        1.3,
        `${slowest.toFixed(3)} / ${fastest.toFixed(3)} ms`,
      ),
    ],
    notes: [
      'The store’s verb from one process, without gRPC; half of the sandboxes are ready, half running.',
    ],
  };
}
