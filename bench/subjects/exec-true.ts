import { connect, type WarmpoolClient } from '../../src/client/grpc-client.ts';
import { ClosingStack } from '../../src/closing-stack.ts';
import { TestService } from '../../test/support/service.ts';
import { EngineExec } from '../floors/engine-exec.ts';
import { LinkPing } from '../floors/link-ping.ts';
import { SpawnFloor } from '../floors/spawn-floor.ts';
import { StreamEcho } from '../floors/stream-echo.ts';
import { type Turn, takeTurns } from '../measure/take-turns.ts';
import { atLeast, atMost, type Figure, type Gate, type Outcome, spread } from '../outcome.ts';
import { type Bench, PartMissing, type Subject, skipped } from '../subject.ts';
import { RuntimeBench } from './runtime-bench.ts';

/**
 * S3: `true` in a sandbox of a real service, over one long-lived channel with a stream for each command, beside what it
 * cannot be faster than (a spawn, a trip over the link, an empty stream) and what it replaces (the Docker exec API).
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
    const link = await LinkPing.open((await runtime.boot()).transport);
    const turns: Turn[] = [
      { name: 'F2', run: () => spawnFloor.call() },
      { name: 'F3', run: () => link.call() },
      { name: 'stream', run: () => stream.call() },
      { name: 'S3', run: () => runTrue(client, sandbox.id) },
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
  const [F2, F3, stream, S3] = [required('F2'), required('F3'), required('stream'), required('S3')];
  const engine = summaryOf('engine');
  const floorMs = F2.p50 + F3.p50 + stream.p50;
  const figures: Figure[] = [
    spread('F2 posix_spawn of /bin/true and wait', F2),
    spread(`F3 64 bytes to the guest and back, ${name}`, F3),
    spread('bare gRPC stream, one message each way', stream),
    spread(`S3 exec true over ExecStream, ${name}`, S3),
  ];
  const gates: Gate[] = [
    atMost(
      'p50 ≤ 2 × (F2 + F3 + bare stream)',
      S3.p50 / floorMs,
      2,
      `${S3.p50.toFixed(3)} / ${floorMs.toFixed(3)} ms`,
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
      'The bare gRPC stream stands for F4, a WebSocket echo: commands come over gRPC here.',
      ...(engine
        ? [
            `The Docker exec API is called in every ${engineEveryRounds}th round only: ${engine.count} samples.`,
          ]
        : []),
    ],
  };
}

/** One command from the opening of its stream to its exit code; milliseconds. */
async function runTrue(client: WarmpoolClient, sandboxId: string): Promise<number> {
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
