import { ClosingStack } from '../../src/closing-stack.ts';
import { SystemClock } from '../../src/domain/clock.ts';
import { RedisPoolStore } from '../../src/store/redis/redis-pool-store.ts';
import { RedisServer } from '../../test/support/redis-server.ts';
import { requirement } from '../../test/support/requirements.ts';
import { RedisEcho } from '../floors/redis-echo.ts';
import { medianOf, type Summary } from '../measure/samples.ts';
import { takeTurns } from '../measure/take-turns.ts';
import { callsPerSecond } from '../measure/throughput.ts';
import { atLeast, atMost, type Outcome, single, spread } from '../outcome.ts';
import { type Bench, type Subject, skipped } from '../subject.ts';
import { CreateClient } from './create-client.ts';
import { PrefilledPool } from './prefilled-pool.ts';

/**
 * S1 and S2: CreateSandbox when a sandbox is ready, against F1, one at a time and 64 in flight. Both servers are
 * children of the bench, use one redis-server over its unix socket, and are called over one channel each.
 */
export const createOnHit: Subject = { id: 'S1', with: ['S2'], run };

const warmupRounds = 1_000;
const inFlight = 64;
/** Pairs of rounds; the median of an odd number is one of them. */
const throughputRounds = 7;
const callsPerRound = 2_000;
/** What a CreateSandbox answer has on the wire without metadata. */
const payloadBytes = 110;

async function run(bench: Bench): Promise<readonly Outcome[]> {
  const { skip } = await requirement('redis');
  if (skip !== false) return ['S1', 'S2'].map((subject) => skipped(subject, 'redis', skip));
  const outcomes: Outcome[] = [];
  for (const store of bench.options.stores) {
    outcomes.push(...(await measure(bench, store)));
  }
  return outcomes;
}

async function measure(bench: Bench, store: 'memory' | 'redis'): Promise<readonly Outcome[]> {
  const { options, signal } = bench;
  const { cpuProfFolder } = options;
  const started = new ClosingStack();
  try {
    const redis = started.use(await RedisServer.start());
    const floor = started.use(
      await RedisEcho.start({
        redisSocket: redis.socketPath,
        redis: redis.client(),
        payloadBytes,
        cpuProfFolder,
      }),
    );
    const subject = started.use(
      await CreateClient.start(store === 'redis' ? redis.url : null, cpuProfFolder),
    );
    const fillSubject = await filler(store, redis, subject, started);
    const fill = async (count: number) => {
      await floor.fill(count);
      await fillSubject(count);
    };

    await fill(options.samples + warmupRounds);
    const { F1, S1 } = await takeTurns(
      [
        { name: 'F1', run: () => floor.call() },
        { name: 'S1', run: () => subject.call() },
      ],
      {
        samples: options.samples,
        warmupRounds,
        signal,
        onRound: (done, of) => bench.progress(`S1 on ${store}: ${done} of ${of}`),
      },
    );

    const rates: { floor: number[]; subject: number[] } = { floor: [], subject: [] };
    for (let round = -1; round < throughputRounds; round += 1) {
      await fill(callsPerRound);
      const round64 = { calls: callsPerRound, inFlight, signal };
      const floorRate = await callsPerSecond(() => floor.call(), round64);
      const subjectRate = await callsPerSecond(() => subject.call(), round64);
      if (round < 0) continue;
      rates.floor.push(floorRate);
      rates.subject.push(subjectRate);
      bench.progress(`S2 on ${store}: round ${round + 1} of ${throughputRounds}`);
    }
    return [oneAtATime(store, F1.summary(), S1.summary()), manyInFlight(store, rates)];
  } finally {
    await started[Symbol.asyncDispose]();
  }
}

/** Makes more ready records, from this process where the store is in Redis. */
async function filler(
  store: 'memory' | 'redis',
  redis: RedisServer,
  subject: CreateClient,
  started: ClosingStack,
): Promise<(count: number) => Promise<unknown>> {
  if (store === 'memory') return (count) => subject.server.ask({ fill: count });
  const poolStore = started.use(
    new RedisPoolStore({ clock: new SystemClock(), warn() {} }, { url: redis.url }),
  );
  await poolStore.open();
  const pool = new PrefilledPool(poolStore);
  return (count) => pool.fill(count);
}

function oneAtATime(store: string, floor: Summary, subject: Summary): Outcome {
  const compare = (rank: 'p50' | 'p99', limit: number, rule: string) =>
    atMost(
      rule,
      subject[rank] / floor[rank],
      limit,
      `${subject[rank].toFixed(3)} ms / ${floor[rank].toFixed(3)} ms`,
    );
  return {
    kind: 'measured',
    subject: 'S1',
    on: store,
    figures: [
      spread('F1 unary echo + one Redis script', floor),
      spread(`S1 CreateSandbox on a hit, ${store} store`, subject),
    ],
    gates: [compare('p50', 1.5, 'p50 ≤ 1.5 × F1'), compare('p99', 2, 'p99 ≤ 2 × F1’s p99')],
    notes: store === 'memory' ? ['The memory store is held against the same floor for information.'] : [],
  };
}

function manyInFlight(
  store: string,
  rates: { floor: readonly number[]; subject: readonly number[] },
): Outcome {
  const [floor, subject] = [medianOf(rates.floor), medianOf(rates.subject)];
  return {
    kind: 'measured',
    subject: 'S2',
    on: store,
    figures: [
      single(`F1, ${inFlight} in flight`, floor, 'calls/s'),
      single(`S2 CreateSandbox on a hit, ${inFlight} in flight, ${store} store`, subject, 'calls/s'),
    ],
    gates: [
      atLeast(
        'calls/s ≥ 70 % of F1',
        subject / floor,
        0.7,
        `${subject.toFixed(0)} / ${floor.toFixed(0)} calls/s`,
      ),
    ],
    notes: [`Medians of ${throughputRounds} alternate rounds of ${callsPerRound} calls.`],
  };
}
