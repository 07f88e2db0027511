import { connect, type WarmpoolClient } from '../../src/client/grpc-client.ts';
import { ClosingStack } from '../../src/closing-stack.ts';
import { TestService } from '../../test/support/service.ts';
import { Samples, type Summary } from '../measure/samples.ts';
import { atMost, type Outcome, single, spread } from '../outcome.ts';
import { type Bench, PartMissing, type Subject, skipped } from '../subject.ts';
import { RuntimeBench } from './runtime-bench.ts';

/**
 * S6: what a miss costs while the pool refills, against a service whose pool has size 0. In each round both services,
 * one after the other, get the same burst of creates that all miss. For the one with a pool the burst comes right
 * after its ready sandboxes were taken, so that its refills and the misses want the host at the same time: the worst
 * moment there is. What is booted is deleted, and the pool is full again, before anything else is measured.
 */
export const missWhileRefilling: Subject = { id: 'S6', run };

/** As many creates at once as a small service sees in a bad moment; each is a boot, so two cores are busy with them. */
const burst = 8;
const minReady = 4;
const warmupRounds = 3;

async function run(bench: Bench): Promise<readonly Outcome[]> {
  if (!bench.options.runtimes.has('bubblewrap')) return [skipped('S6', 'bubblewrap', 'not asked for')];
  const started = new ClosingStack();
  try {
    const runtime = started.use(await RuntimeBench.start('bubblewrap'));
    const without = await startSide(started, runtime, 0);
    const refilling = await startSide(started, runtime, minReady);
    const rounds = Math.ceil(bench.options.samples / burst);
    for (let round = -warmupRounds; round < rounds; round += 1) {
      const sides = round % 2 === 0 ? [without, refilling] : [refilling, without];
      for (const side of sides) {
        bench.signal.throwIfAborted();
        await runRound(side, round >= 0);
      }
      if (round % 10 === 0) bench.progress(`S6: round ${Math.max(round, 0)} of ${rounds}`);
    }
    return [outcomeOf(without, refilling)];
  } catch (error) {
    if (error instanceof PartMissing) return [skipped('S6', 'bubblewrap', error.message)];
    throw error;
  } finally {
    await started[Symbol.asyncDispose]();
  }
}

interface Side {
  readonly client: WarmpoolClient;
  readonly minReady: number;
  readonly cold: Samples;
  /** Creates of a burst that found a refill ready in time. */
  warm: number;
}

async function startSide(started: ClosingStack, runtime: RuntimeBench, ready: number): Promise<Side> {
  const size = { minReady: ready, maxReady: minReady, maxTotal: 64, startsInFlightMax: minReady };
  const pools = [{ name: poolName, size, lease: { ttl: '1h' } }];
  const service = started.use(await TestService.start({ pools, env: runtime.serviceEnv }));
  const client = connect(service.grpc);
  started.use({ [Symbol.asyncDispose]: async () => client.close() });
  return { client, minReady: ready, cold: new Samples(), warm: 0 };
}

/** Any create that fails ends the bench: an empty pool is never an error. */
async function runRound(side: Side, isCounted: boolean): Promise<void> {
  const { client } = side;
  await untilFull(side);
  const create = async () => {
    const startedMs = performance.now();
    const created = await client.create(poolName);
    return { ...created, tookMs: performance.now() - startedMs };
  };
  const taken = await Promise.all(Array.from({ length: side.minReady }, create));
  const missed = await Promise.all(Array.from({ length: burst }, create));
  if (isCounted) {
    for (const { launch, tookMs } of missed) {
      if (launch === 'cold') side.cold.add(tookMs);
      else side.warm += 1;
    }
  }
  await Promise.all([...taken, ...missed].map(({ id }) => client.delete(id)));
  await untilFull(side);
}

async function untilFull({ client, minReady: ready }: Side): Promise<void> {
  for (;;) {
    const pool = await client.pool(poolName);
    if (pool.ready >= ready && pool.starting === 0 && pool.live === pool.ready) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function outcomeOf(without: Side, refilling: Side): Outcome {
  const [floor, subject]: readonly Summary[] = [without.cold.summary(), refilling.cold.summary()];
  if (!floor || !subject) throw new Error('nothing was measured');
  return {
    kind: 'measured',
    subject: 'S6',
    on: 'bubblewrap',
    figures: [
      spread(`cold start, pool size 0, ${burst} at once`, floor),
      spread(`S6 cold start while ${minReady} refill, ${burst} at once`, subject),
      single('S6 creates of the bursts that found a refill ready', refilling.warm, 'creates'),
    ],
    gates: [
      atMost(
        'p50 ≤ 1.1 × pool size 0',
        subject.p50 / floor.p50,
        1.1,
        `${subject.p50.toFixed(1)} / ${floor.p50.toFixed(1)} ms`,
      ),
    ],
    notes: ['Every create succeeded; one that fails ends the run.'],
  };
}

const poolName = 'bench';
