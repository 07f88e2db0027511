import { ClosingStack } from '../../src/closing-stack.ts';
import { SystemClock } from '../../src/domain/clock.ts';
import { RedisPoolStore } from '../../src/store/redis/redis-pool-store.ts';
import { RedisServer } from '../../test/support/redis-server.ts';
import { requirement } from '../../test/support/requirements.ts';
import { RedisEcho } from '../floors/redis-echo.ts';
import type { Summary } from '../measure/samples.ts';
import { takeTurns } from '../measure/take-turns.ts';
import { atMost, type Measured, type Outcome, spread } from '../outcome.ts';
import { type Bench, type Subject, skipped } from '../subject.ts';
import { CreateClient } from './create-client.ts';
import { measureThroughput } from './create-throughput.ts';
import { PrefilledPool } from './prefilled-pool.ts';

/**
 * S1 and S2: CreateSandbox when a sandbox is ready, against F1, one at a time and 64 in flight. Both servers are
 * children of the bench, use one redis-server over its unix socket, and are called over one channel each.
 */
export const createOnHit: Subject = { id: 'S1', with: ['S2'], run };

/** Enough for the optimising compiler to have seen every path of a call in all three processes. */
const warmupRounds = 1_000;
/** What a CreateSandbox answer has on the wire without metadata; most of it is the data token. With a shared signature, 780. */
const payloadBytes = 520;

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
  const { options, signal, progress } = bench;
  const { cpuProfFolder, samples } = options;
  const isWanted = (id: string) => options.only === null || options.only.has(id);
  const started = new ClosingStack();
  try {
    // With the append-only file that the service asks for at its start; the floor's writes go through it, too.
    const server = started.use(await RedisServer.start({ aof: true }));
    const redis = server.client();
    const floor = started.use(
      await RedisEcho.start({ redisSocket: server.socketPath, redis, payloadBytes, cpuProfFolder }),
    );
    const subject = started.use(
      await CreateClient.start(store === 'redis' ? server.url : null, cpuProfFolder),
    );
    const fillSubject = await filler(store, server, subject, started);
    const fill = async (count: number) => {
      await floor.fill(count);
      await fillSubject(count);
    };

    const outcomes: Outcome[] = [];
    if (isWanted('S1')) {
      await fill(samples + warmupRounds);
      const { F1, S1 } = await takeTurns(
        [
          { name: 'F1', run: () => floor.call() },
          { name: 'S1', run: () => subject.call() },
        ],
        {
          samples,
          warmupRounds,
          signal,
          onRound: (done, of) => progress(`S1 on ${store}: ${done} of ${of}`),
        },
      );
      outcomes.push(oneAtATime(store, F1.summary(), S1.summary()));
    }
    if (isWanted('S2')) {
      const sides = {
        floor: { name: 'F1', pid: floor.pid, call: () => floor.call() },
        subject: { name: `S2 on ${store}`, pid: subject.server.pid, call: () => subject.call() },
      };
      outcomes.push(await measureThroughput({ store, ...sides, redis, fill, signal, progress }));
    }
    return outcomes;
  } finally {
    await started[Symbol.asyncDispose]();
  }
}

/** Makes more ready records, from this process where the store is in Redis; settles when its events were read. */
async function filler(
  store: 'memory' | 'redis',
  server: RedisServer,
  subject: CreateClient,
  started: ClosingStack,
): Promise<(count: number) => Promise<unknown>> {
  if (store === 'memory') return (count) => subject.server.ask({ fill: count });
  const deps = { clock: new SystemClock(), warn() {} };
  const poolStore = started.use(new RedisPoolStore(deps, { url: server.url }));
  await poolStore.open();
  const pool = new PrefilledPool(poolStore);
  return async (count) => {
    await pool.fill(count);
    await subject.server.ask({ fill: 0 });
  };
}

function oneAtATime(store: string, floor: Summary, subject: Summary): Measured {
  const compare = (rank: 'p50' | 'p99', limit: number, rule: string) => {
    const computed = `${subject[rank].toFixed(3)} / ${floor[rank].toFixed(3)} ms`;
    return atMost(rule, subject[rank] / floor[rank], limit, computed);
  };
  return {
    kind: 'measured',
    subject: 'S1',
    on: store,
    figures: [
      spread('F1 unary echo + one Redis script', floor),
      spread(`S1 CreateSandbox on a hit, ${store} store`, subject),
    ],
    gates: [compare('p50', 1.5, 'p50 ≤ 1.5 × F1'), compare('p99', 2, 'p99 ≤ 2 × F1’s p99')],
    notes: store === 'memory' ? ['For information: the floor’s Redis script is not in the subject.'] : [],
  };
}
