import type { Redis } from 'ioredis';
import { cpuTimeMs } from '../measure/cpu-time.ts';
import { medianOf } from '../measure/samples.ts';
import { callsPerSecond } from '../measure/throughput.ts';
import { atLeast, type Measured, single } from '../outcome.ts';

const inFlight = 64;
/** Pairs of rounds; the median of an odd number is one of them. */
const rounds = 7;
const callsPerRound = 2_000;

export interface Side {
  readonly name: string;
  readonly pid: number;
  readonly call: () => Promise<unknown>;
}

/** S2: alternate rounds of the floor and the subject, many calls under way at once. */
export async function measureThroughput(options: {
  readonly store: string;
  readonly floor: Side;
  readonly subject: Side;
  readonly redis: Redis;
  /** Makes so many more for both to take. */
  readonly fill: (count: number) => Promise<unknown>;
  readonly signal: AbortSignal;
  readonly progress: (sentence: string) => void;
}): Promise<Measured> {
  const { store, floor, subject, redis, signal } = options;
  const done = { floor: [] as Round[], subject: [] as Round[] };
  for (let round = -1; round < rounds; round += 1) {
    await options.fill(callsPerRound);
    const floorRound = await runRound(floor, redis, signal);
    const subjectRound = await runRound(subject, redis, signal);
    if (round < 0) continue;
    done.floor.push(floorRound);
    done.subject.push(subjectRound);
    options.progress(`S2 on ${store}: round ${round + 1} of ${rounds}`);
  }
  const [floorMedian, subjectMedian] = [medianRound(done.floor), medianRound(done.subject)];
  const figuresOf = (side: Side, { rate, serverUs, redisUs, clientUs }: Round) => [
    single(`${side.name}, ${inFlight} in flight`, rate, 'calls/s'),
    single(`${side.name}: CPU of the server for each call`, serverUs, 'µs'),
    single(`${side.name}: CPU of redis-server for each call`, redisUs, 'µs'),
    single(`${side.name}: CPU of the client for each call`, clientUs, 'µs'),
  ];
  const computed = `${subjectMedian.rate.toFixed(0)} / ${floorMedian.rate.toFixed(0)} calls/s`;
  return {
    kind: 'measured',
    subject: 'S2',
    on: store,
    figures: [...figuresOf(floor, floorMedian), ...figuresOf(subject, subjectMedian)],
    gates: [atLeast('calls/s ≥ 70 % of F1', subjectMedian.rate / floorMedian.rate, 0.7, computed)],
    notes: [`Medians of ${rounds} alternate rounds of ${callsPerRound} calls.`],
  };
}

interface Round {
  /** Calls a second. */
  readonly rate: number;
  /** CPU time for each call: it hardly changes when others keep the machine busy. */
  readonly serverUs: number;
  readonly redisUs: number;
  /** Of this process: the bench is the client. */
  readonly clientUs: number;
}

async function runRound(side: Side, redis: Redis, signal: AbortSignal): Promise<Round> {
  const cpu = async () => ({
    serverMs: cpuTimeMs(side.pid),
    redisMs: await redisCpuMs(redis),
    clientMs: cpuTimeMs(process.pid),
  });
  const before = await cpu();
  const rate = await callsPerSecond(side.call, { calls: callsPerRound, inFlight, signal });
  const after = await cpu();
  const perCallUs = (ms: number) => (ms * 1_000) / callsPerRound;
  return {
    rate,
    serverUs: perCallUs(after.serverMs - before.serverMs),
    redisUs: perCallUs(after.redisMs - before.redisMs),
    clientUs: perCallUs(after.clientMs - before.clientMs),
  };
}

function medianRound(each: readonly Round[]): Round {
  return {
    rate: medianOf(each.map(({ rate }) => rate)),
    serverUs: medianOf(each.map(({ serverUs }) => serverUs)),
    redisUs: medianOf(each.map(({ redisUs }) => redisUs)),
    clientUs: medianOf(each.map(({ clientUs }) => clientUs)),
  };
}

async function redisCpuMs(redis: Redis): Promise<number> {
  const info = await redis.info('cpu');
  const seconds = (field: string) => Number(new RegExp(`^${field}:(\\S+)`, 'm').exec(info)?.[1] ?? 0);
  return (seconds('used_cpu_user') + seconds('used_cpu_sys')) * 1_000;
}
