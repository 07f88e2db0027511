import { connect, type WarmpoolClient } from '../../src/client/grpc-client.ts';
import { ClosingStack } from '../../src/closing-stack.ts';
import { TestService } from '../../test/support/service.ts';
import { Samples } from '../measure/samples.ts';
import { atMost, type Outcome, single, spread } from '../outcome.ts';
import { type Bench, PartMissing, type Subject, skipped } from '../subject.ts';
import { RuntimeBench } from './runtime-bench.ts';

/**
 * S6: what a miss costs while the pool refills, against a service whose pool has size 0, in alternate rounds. A round
 * has two parts:
 *
 * - sustained: so many creators, each creating and deleting a sandbox again and again, keep the pool short.
 * - emptied: a burst of creates right after the ready sandboxes were taken, so that refills already under way and the
 *   misses want the host at the same moment: the worst there is. The gate is held against both.
 *
 * Everything is deleted, and the pool is full again, before the next part begins.
 */
export const missWhileRefilling: Subject = { id: 'S6', run };

/** At once: as many as a small service sees in a bad moment; each is a boot, so two cores are busy with them. */
const creators = 8;
const createsEach = 3;
const minReady = 4;
const warmupRounds = 3;

async function run(bench: Bench): Promise<readonly Outcome[]> {
  if (!bench.options.runtimes.has('bubblewrap')) return [skipped('S6', 'bubblewrap', 'not asked for')];
  const started = new ClosingStack();
  try {
    const runtime = started.use(await RuntimeBench.start('bubblewrap'));
    const without = await startSide(started, runtime, 0);
    const refilling = await startSide(started, runtime, minReady);
    const rounds = Math.ceil(bench.options.samples / creators);
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
  readonly sustained: Samples;
  readonly emptied: Samples;
  /** Creates that found a refill ready in time. */
  warm: number;
}

async function startSide(started: ClosingStack, runtime: RuntimeBench, ready: number): Promise<Side> {
  // What is compared is two sizes, so neither follows its load.
  const size = {
    minReady: ready,
    maxReady: minReady,
    maxTotal: 64,
    startsInFlightMax: minReady,
    targetHitRatio: 0,
  };
  const pools = [{ name: poolName, size, lease: { ttl: '1h' } }];
  const service = started.use(await TestService.start({ pools, env: runtime.serviceEnv }));
  const client = connect(service.grpc);
  started.use({ [Symbol.asyncDispose]: async () => client.close() });
  return { client, minReady: ready, sustained: new Samples(), emptied: new Samples(), warm: 0 };
}

async function runRound(side: Side, isCounted: boolean): Promise<void> {
  const { client } = side;
  await untilFull(side);
  const atOnce = <T>(count: number, work: () => Promise<T>) =>
    Promise.all(Array.from({ length: count }, work));

  await atOnce(creators, async () => {
    for (let index = 0; index < createsEach; index += 1) {
      const id = await create(side, isCounted ? side.sustained : null);
      await client.delete(id);
    }
  });
  await untilFull(side);

  const taken = await atOnce(side.minReady, () => create(side, null));
  const missed = await atOnce(creators, () => create(side, isCounted ? side.emptied : null));
  await Promise.all([...taken, ...missed].map((id) => client.delete(id)));
  await untilFull(side);
}

/** One that fails ends the bench: an empty pool is never an error. */
async function create(side: Side, cold: Samples | null): Promise<string> {
  const startedMs = performance.now();
  const { id, launch } = await side.client.create(poolName);
  const tookMs = performance.now() - startedMs;
  if (launch === 'cold') cold?.add(tookMs);
  else if (cold) side.warm += 1;
  return id;
}

async function untilFull({ client, minReady: ready }: Side): Promise<void> {
  for (;;) {
    const pool = await client.pool(poolName);
    if (pool.ready >= ready && pool.starting === 0 && pool.live === pool.ready) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function outcomeOf(without: Side, refilling: Side): Outcome {
  const parts = (['sustained', 'emptied'] as const).map((part) => {
    const [floor, subject] = [without[part].summary(), refilling[part].summary()];
    const computed = `${subject.p50.toFixed(1)} / ${floor.p50.toFixed(1)} ms`;
    return {
      figures: [
        spread(`S6 cold start, ${part}: pool size 0, ${creators} at once`, floor),
        spread(`S6 cold start, ${part}: ${minReady} refill, ${creators} at once`, subject),
      ],
      gate: atMost(`${part}: p50 ≤ 1.1 × pool size 0`, subject.p50 / floor.p50, 1.1, computed),
    };
  });
  return {
    kind: 'measured',
    subject: 'S6',
    on: 'bubblewrap',
    figures: [
      ...parts.flatMap(({ figures }) => figures),
      single('S6 creates that found a refill ready', refilling.warm, 'creates'),
    ],
    gates: parts.map(({ gate }) => gate),
    notes: ['Every create succeeded; one that fails ends the run.'],
  };
}

const poolName = 'bench';
