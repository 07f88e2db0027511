import { connect, type WarmpoolClient } from '../../src/client/grpc-client.ts';
import { ClosingStack } from '../../src/closing-stack.ts';
import { startProcess } from '../../src/operations/process.ts';
import { TestService } from '../../test/support/service.ts';
import { EngineExec } from '../floors/engine-exec.ts';
import { LinkPing } from '../floors/link-ping.ts';
import { SocketEcho } from '../floors/socket-echo.ts';
import { SpawnFloor } from '../floors/spawn-floor.ts';
import { StreamEcho } from '../floors/stream-echo.ts';
import { type Turn, takeTurns } from '../measure/take-turns.ts';
import { atLeast, atMost, type Figure, type Gate, type Outcome, spread } from '../outcome.ts';
import { type Bench, PartMissing, type Subject, skipped } from '../subject.ts';
import { type DataSession, openDataSession } from './open-data-session.ts';
import { RuntimeBench } from './runtime-bench.ts';

/**
 * S3: `true` in a sandbox of a real service over an open session, beside what it cannot be faster than (a spawn, a trip
 * over the link, a trip over a bare WebSocket) and what it replaces (the Docker exec API). The same command by gRPC, a
 * stream for each over one channel, is held against a bare stream.
 */
export const execTrue: Subject = { id: 'S3', run };

const warmupRounds = 200;
/** One engine exec costs as much as some forty of the others: a fifth of the rounds has it. */
const engineEveryRounds = 5;

async function run(bench: Bench): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const runtime of bench.options.runtimes) {
    try {
      outcomes.push(await measure(bench, runtime));
    } catch (error) {
      if (!(error instanceof PartMissing)) throw error;
      outcomes.push(skipped('S3', runtime, error.message));
    }
  }
  return outcomes;
}

async function measure(bench: Bench, name: 'bubblewrap' | 'docker'): Promise<Outcome> {
  const { options, signal, progress } = bench;
  const started = new ClosingStack();
  try {
    const runtime = started.use(await RuntimeBench.start(name));
    const service = started.use(await TestService.start({ pools: [benchPool], env: runtime.serviceEnv }));
    const client = connect(service.grpc);
    started.use({ [Symbol.asyncDispose]: async () => client.close() });
    const sandbox = await client.create(benchPool.name);
    const spawnFloor = started.use(SpawnFloor.start());
    const stream = started.use(await StreamEcho.start());
    const socket = started.use(await SocketEcho.start());
    const session = started.use(await openDataSession(sandbox));
    const link = await LinkPing.open((await runtime.boot()).transport);
    const turns: Turn[] = [
      { name: 'F2', run: () => spawnFloor.call() },
      { name: 'F3', run: () => link.call() },
      { name: 'F4', run: () => socket.call() },
      { name: 'S3', run: () => runTrue(session) },
      { name: 'stream', run: () => stream.call() },
      { name: 'grpc', run: () => runTrueByGrpc(client, sandbox.id) },
    ];
    if (runtime.dockerHost !== null) {
      const engine = started.use(await EngineExec.start(runtime.dockerHost));
      turns.push({ name: 'engine', run: () => engine.call(), everyRounds: engineEveryRounds });
    }
    const samples = await takeTurns(turns, {
      samples: options.samples,
      warmupRounds,
      signal,
      onRound: (done, of) => progress(`S3 on ${name}: ${done} of ${of}`),
    });
    return outcomeOf(name, (turn) => samples[turn]?.summary());
  } finally {
    await started[Symbol.asyncDispose]();
  }
}

type SummaryOf = (
  turn: string,
) => ReturnType<Awaited<ReturnType<typeof takeTurns>>[string]['summary']> | undefined;

function outcomeOf(name: 'bubblewrap' | 'docker', summaryOf: SummaryOf): Outcome {
  const required = (turn: string) => {
    const summary = summaryOf(turn);
    if (!summary) throw new Error(`${turn} was not measured`);
    return summary;
  };
  const [F2, F3, F4, S3] = [required('F2'), required('F3'), required('F4'), required('S3')];
  const [stream, grpc] = [required('stream'), required('grpc')];
  const engine = summaryOf('engine');
  const floorMs = F2.p50 + F3.p50 + F4.p50;
  const grpcFloorMs = F2.p50 + F3.p50 + stream.p50;
  const figures: Figure[] = [
    spread('F2 posix_spawn of /bin/true and wait', F2),
    spread(`F3 64 bytes to the guest and back, ${name}`, F3),
    spread('F4 64 bytes to a bare WebSocket server and back', F4),
    spread(`S3 exec true over an open session, ${name}`, S3),
    spread('bare gRPC stream, one message each way', stream),
    spread(`exec true over ExecStream, ${name}`, grpc),
  ];
  const gates: Gate[] = [
    atMost(
      'p50 ≤ 2 × (F2 + F3 + F4)',
      S3.p50 / floorMs,
      2,
      `${S3.p50.toFixed(3)} / ${floorMs.toFixed(3)} ms`,
    ),
    atMost(
      'gRPC: p50 ≤ 2 × (F2 + F3 + bare stream)',
      grpc.p50 / grpcFloorMs,
      2,
      `${grpc.p50.toFixed(3)} / ${grpcFloorMs.toFixed(3)} ms`,
    ),
  ];
  if (engine) {
    figures.push(spread('Docker exec API: create, start, read, inspect', engine));
    const computed = `${engine.p50.toFixed(2)} / ${S3.p50.toFixed(3)} ms`;
    gates.push(atLeast('≥ 15 × faster than the Docker exec API', engine.p50 / S3.p50, 15, computed));
  }
  return {
    kind: 'measured',
    subject: 'S3',
    on: name,
    figures,
    gates,
    notes: [
      ...(engine
        ? [
            `The Docker exec API is called in every ${engineEveryRounds}th round only: ${engine.count} samples.`,
          ]
        : []),
    ],
  };
}

/** One command from its request to its exit code; milliseconds. */
async function runTrue(session: DataSession): Promise<number> {
  const startedMs = performance.now();
  const process = await startProcess(session, { argv: ['true'], stdin: false });
  const { exitCode } = await process.exited;
  const tookMs = performance.now() - startedMs;
  if (exitCode !== 0) throw new Error(`true ended with ${exitCode}`);
  return tookMs;
}

async function runTrueByGrpc(client: WarmpoolClient, sandboxId: string): Promise<number> {
  const startedMs = performance.now();
  const { exitCode } = await client.execStream({ sandboxId, argv: ['true'], noStdin: true }, () => {}).exited;
  const tookMs = performance.now() - startedMs;
  if (exitCode !== 0) throw new Error(`true ended with ${exitCode}`);
  return tookMs;
}

const benchPool = {
  name: 'bench',
  size: { minReady: 1, maxReady: 2, maxTotal: 4 },
  lease: { ttl: '1h' },
};
