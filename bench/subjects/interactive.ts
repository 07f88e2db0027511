import { cpus } from 'node:os';
import { ClosingStack } from '../../src/closing-stack.ts';
import { startProcess } from '../../src/operations/process.ts';
import { SocketEcho } from '../floors/socket-echo.ts';
import { SpawnFloor } from '../floors/spawn-floor.ts';
import { cpuTimeMs } from '../measure/cpu-time.ts';
import { Samples } from '../measure/samples.ts';
import { atMost, type Outcome, single, spread } from '../outcome.ts';
import { type Bench, PartMissing, type Subject, skipped } from '../subject.ts';
import { DataBench } from './data-session.ts';
import { openDataSession } from './open-data-session.ts';

/**
 * S4 and S5: from nothing to the end of a first command. A batch takes the whole pool, one sandbox after the other (S4)
 * or all at once (S5); as the pool's maxTotal is its size, nothing boots meanwhile. Between batches everything is deleted
 * and the pool fills again, outside all timing.
 */
export const interactive: Subject = { id: 'S4', with: ['S5'], run };

const poolSize = 100;
const burstRounds = 5;
const warmupBatches = 1;

async function run(bench: Bench): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const name of bench.options.runtimes) {
    try {
      outcomes.push(...(await measure(bench, name)));
    } catch (error) {
      if (!(error instanceof PartMissing)) throw error;
      outcomes.push(skipped('S4', name, error.message));
    }
  }
  return outcomes;
}

async function measure(bench: Bench, name: 'bubblewrap' | 'docker'): Promise<readonly Outcome[]> {
  const started = new ClosingStack();
  try {
    const size = { minReady: poolSize, maxReady: poolSize, maxTotal: poolSize };
    const data = started.use(await DataBench.start(name, { size }, bench.options.cpuProfFolder));
    const socket = started.use(await SocketEcho.start());
    const spawnFloor = started.use(SpawnFloor.start());
    await data.untilReady(poolSize, bench);
    const samples = {
      F2: new Samples(),
      connect: new Samples(),
      S1: new Samples(),
      S3: new Samples(),
      S4: new Samples(),
    };
    const batches = Math.ceil(bench.options.samples / poolSize);
    for (let batch = -warmupBatches; batch < batches; batch += 1) {
      const ids: string[] = [];
      for (let index = 0; index < poolSize; index += 1) {
        bench.signal.throwIfAborted();
        const connectMs = await socket.connect();
        const spawnMs = await spawnFloor.call();
        const one = await timeToInteractive(data);
        ids.push(one.id);
        if (batch < 0) continue;
        samples.connect.add(connectMs);
        samples.F2.add(spawnMs);
        samples.S1.add(one.createMs);
        samples.S3.add(one.secondExecMs);
        samples.S4.add(one.tookMs);
      }
      await refill(data, ids, bench);
      bench.progress(`S4 on ${name}: batch ${Math.max(batch + 1, 0)} of ${batches}`);
    }
    const bursts: Burst[] = [];
    for (let round = -warmupBatches; round < burstRounds; round += 1) {
      const burst = await takeAllAtOnce(data);
      if (round >= 0) bursts.push(burst);
      await refill(data, burst.ids, bench);
      bench.progress(`S5 on ${name}: burst ${Math.max(round + 1, 0)} of ${burstRounds}`);
    }
    return outcomesOf(name, samples, bursts);
  } finally {
    await started[Symbol.asyncDispose]();
  }
}

function outcomesOf(
  name: string,
  samples: Record<'F2' | 'connect' | 'S1' | 'S3' | 'S4', Samples>,
  bursts: readonly Burst[],
): readonly Outcome[] {
  const { F2, connect, S1, S3, S4 } = {
    F2: samples.F2.summary(),
    connect: samples.connect.summary(),
    S1: samples.S1.summary(),
    S3: samples.S3.summary(),
    S4: samples.S4.summary(),
  };
  const limitMs = S1.p50 + S3.p50 + 2 * connect.p50;
  const burst = new Samples();
  for (const { tookMs } of bursts) burst.add(tookMs);
  const usEach = (cpuMs: (of: Burst) => number) =>
    (bursts.reduce((sum, each) => sum + cpuMs(each), 0) * 1_000) / (bursts.length * poolSize);
  const { p50: burstMs } = burst.summary();
  const burstLimitMs = (poolSize * F2.p50 * 2) / cores + burstGraceMs;
  return [
    {
      kind: 'measured',
      subject: 'S4',
      on: name,
      figures: [
        spread('connect to a bare WebSocket server', connect),
        spread(`S1 the create of it, ${name}`, S1),
        spread(`S3 exec true once more on the open session, ${name}`, S3),
        spread(`S4 create + connect + exec true, ${name}`, S4),
      ],
      gates: [
        atMost(
          'p50 ≤ S1 + S3 + 2 × connect',
          S4.p50 / limitMs,
          1,
          `${S4.p50.toFixed(3)} / ${limitMs.toFixed(3)} ms`,
        ),
      ],
      notes: [],
    },
    {
      kind: 'measured',
      subject: 'S5',
      on: name,
      figures: [
        spread(`S5 ${poolSize} × create + connect + exec true at once, ${name}`, burst.summary()),
        single(
          `S5: CPU of the service for each, ${name}`,
          usEach(({ serviceMs }) => serviceMs),
          'µs',
        ),
        single(
          `S5: CPU of the client for each, ${name}`,
          usEach(({ clientMs }) => clientMs),
          'µs',
        ),
      ],
      gates: [
        atMost(
          `wall ≤ ${poolSize} × F2 × 2 / cores + ${burstGraceMs} ms`,
          burstMs / burstLimitMs,
          1,
          `${burstMs.toFixed(0)} / ${burstLimitMs.toFixed(0)} ms`,
        ),
      ],
      notes: ['Every one of the commands ended with 0, in a sandbox of its own.'],
    },
  ];
}

async function timeToInteractive(data: DataBench) {
  const startedMs = performance.now();
  const sandbox = await data.create();
  const createMs = performance.now() - startedMs;
  const session = await openDataSession(sandbox);
  await runTrue(session);
  const tookMs = performance.now() - startedMs;
  const againMs = performance.now();
  await runTrue(session);
  const secondExecMs = performance.now() - againMs;
  await session[Symbol.asyncDispose]();
  return { id: sandbox.id, createMs, tookMs, secondExecMs };
}

interface Burst {
  readonly ids: readonly string[];
  readonly tookMs: number;
  /** CPU time, which does not change when others use the machine. */
  readonly serviceMs: number;
  readonly clientMs: number;
}

async function takeAllAtOnce(data: DataBench): Promise<Burst> {
  const { pid: servicePid = 0 } = data.service.process;
  const [serviceBeforeMs, clientBeforeMs] = [cpuTimeMs(servicePid), cpuTimeMs(process.pid)];
  const startedMs = performance.now();
  const sessions = await Promise.all(
    Array.from({ length: poolSize }, async () => {
      const sandbox = await data.create();
      const session = await openDataSession(sandbox);
      await runTrue(session);
      return { id: sandbox.id, session };
    }),
  );
  const tookMs = performance.now() - startedMs;
  const serviceMs = cpuTimeMs(servicePid) - serviceBeforeMs;
  const clientMs = cpuTimeMs(process.pid) - clientBeforeMs;
  const ids = sessions.map(({ id }) => id);
  if (new Set(ids).size !== poolSize) throw new Error('one sandbox was handed out twice');
  await Promise.all(sessions.map(({ session }) => session[Symbol.asyncDispose]()));
  return { ids, tookMs, serviceMs, clientMs };
}

async function runTrue(session: Parameters<typeof startProcess>[0]): Promise<void> {
  const process = await startProcess(session, { argv: ['true'], stdin: false });
  const { exitCode } = await process.exited;
  if (exitCode !== 0) throw new Error(`true ended with ${exitCode}`);
}

async function refill(data: DataBench, ids: readonly string[], bench: Bench): Promise<void> {
  for (let first = 0; first < ids.length; first += deletesAtOnce) {
    bench.signal.throwIfAborted();
    await Promise.all(ids.slice(first, first + deletesAtOnce).map((id) => data.client.delete(id)));
  }
  await data.untilReady(poolSize, bench);
}

const { length: cores } = cpus();
/** An engine takes its time for each; no call waits for a hundred of them. */
const deletesAtOnce = 10;
/** As in the table of gates. */
const burstGraceMs = 100;
