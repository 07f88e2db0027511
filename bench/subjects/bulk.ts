import { readFileSync } from 'node:fs';
import { ClosingStack } from '../../src/closing-stack.ts';
import { EngineCopy } from '../floors/engine-copy.ts';
import { RawPipe } from '../floors/raw-pipe.ts';
import { medianOf } from '../measure/samples.ts';
import { atLeast, atMost, type Gate, type Outcome, single } from '../outcome.ts';
import { type Bench, PartMissing, type Subject, skipped } from '../subject.ts';
import { BulkClient } from './bulk-client.ts';
import { DataBench } from './data-session.ts';

/**
 * S8 and S9: 256 MB of a command's output, and a file of 1 GB up and down with its checksum, each beside the bare pipe of
 * the same runtime, round by round; the service's memory is watched meanwhile.
 */
export const bulk: Subject = { id: 'S8', with: ['S9'], run };

const MiB = 1_048_576;
const outputBytes = 256 * MiB;
/** Replacing it takes twice its size in the home folder for a while, which on Docker gets half of the disk. */
const fileBytes = 1_024 * MiB;
const rounds = 5;
const fileRounds = 3;
const watchMs = 20;
const growthMbMax = 16;

async function run(bench: Bench): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const name of bench.options.runtimes) {
    try {
      outcomes.push(...(await measure(bench, name)));
    } catch (error) {
      if (!(error instanceof PartMissing)) throw error;
      outcomes.push(skipped('S8', name, error.message));
    }
  }
  return outcomes;
}

async function measure(bench: Bench, name: 'bubblewrap' | 'docker'): Promise<readonly Outcome[]> {
  const started = new ClosingStack();
  try {
    const data = started.use(
      await DataBench.start(name, {
        size: { minReady: 1, maxReady: 1, maxTotal: 2 },
        resources: { memoryMb: 8_192, diskMb: 5_120 },
      }),
    );
    const { dockerHost } = data.runtime;
    const client = started.use(await BulkClient.start(await data.create()));
    const memory = new MemoryWatch(data.service.process.pid ?? 0);
    started.use(memory);

    const rawPipe = started.use(await RawPipe.start(dockerHost));
    const pipe: number[] = [];
    const output: number[] = [];
    const terminal: number[] = [];
    await client.ask('output', outputBytes);
    memory.begin();
    for (let round = 0; round < rounds; round += 1) {
      bench.signal.throwIfAborted();
      pipe.push(await rawPipe.bytesPerSecond(outputBytes));
      output.push((await client.ask('output', outputBytes)).rate);
      terminal.push((await client.ask('terminal', outputBytes / 8)).rate);
      bench.progress(`S8 on ${name}: round ${round + 1} of ${rounds}`);
    }
    const outputGrowthMb = memory.growthMb();

    const filePipe: number[] = [];
    const filePipeUp: number[] = [];
    const up: number[] = [];
    const down: number[] = [];
    const copyUp: number[] = [];
    const copyDown: number[] = [];
    const copy = dockerHost === null ? null : started.use(await EngineCopy.start(dockerHost));
    memory.begin();
    for (let round = 0; round < fileRounds; round += 1) {
      bench.signal.throwIfAborted();
      filePipe.push(await rawPipe.bytesPerSecond(fileBytes));
      filePipeUp.push(await rawPipe.bytesPerSecond(fileBytes, 'up'));
      const sent = await client.ask('up', fileBytes);
      up.push(sent.rate);
      down.push((await client.ask('down', fileBytes)).rate);
      const came = await client.ask('down-checked', fileBytes);
      if (came.sha256 !== sent.sha256) throw new Error('the file came back changed');
      if (copy) {
        copyUp.push(await copy.up(fileBytes));
        copyDown.push(await copy.down());
      }
      bench.progress(`S9 on ${name}: round ${round + 1} of ${fileRounds}`);
    }
    const fileGrowthMb = memory.growthMb();

    const mb = (rate: number) => rate / 1e6;
    const half = (what: string, rates: readonly number[], floor: readonly number[]): Gate =>
      atLeast(
        `${what} ≥ 50 % of F5`,
        medianOf(rates) / medianOf(floor),
        0.5,
        `${mb(medianOf(rates)).toFixed(0)} / ${mb(medianOf(floor)).toFixed(0)} MB/s`,
      );
    const flat = (grownMb: number): Gate =>
      atMost(
        `memory of the service grows by ≤ ${growthMbMax} MB`,
        grownMb,
        growthMbMax,
        `${grownMb.toFixed(1)} MB`,
      );
    return [
      {
        kind: 'measured',
        subject: 'S8',
        on: name,
        figures: [
          single(`F5 the bare pipe, ${name}`, mb(medianOf(pipe)), 'MB/s'),
          single(`S8 256 MiB of output over the socket, ${name}`, mb(medianOf(output)), 'MB/s'),
          single(`32 MiB of output of a terminal, ${name}`, mb(medianOf(terminal)), 'MB/s'),
        ],
        gates: [half('bytes/s', output, pipe), flat(outputGrowthMb)],
        notes: [`Medians of ${rounds} rounds.`],
      },
      {
        kind: 'measured',
        subject: 'S9',
        on: name,
        figures: [
          single(`F5 the bare pipe, ${name}`, mb(medianOf(filePipe)), 'MB/s'),
          single(`the bare pipe the other way, ${name}`, mb(medianOf(filePipeUp)), 'MB/s'),
          single(`S9 1 GiB up, ${name}`, mb(medianOf(up)), 'MB/s'),
          single(`S9 1 GiB down, ${name}`, mb(medianOf(down)), 'MB/s'),
          ...(copy
            ? [
                single('docker cp, 1 GiB up', mb(medianOf(copyUp)), 'MB/s'),
                single('docker cp, 1 GiB down', mb(medianOf(copyDown)), 'MB/s'),
              ]
            : []),
        ],
        gates: [
          half('up', up, filePipe),
          half('down', down, filePipe),
          ...(copy ? [faster('up', up, copyUp), faster('down', down, copyDown)] : []),
          flat(fileGrowthMb),
        ],
        notes: [`Medians of ${fileRounds} rounds; the SHA-256 of what came back was that of what was sent.`],
      },
    ];
  } finally {
    await started[Symbol.asyncDispose]();
  }
}

function faster(way: string, rates: readonly number[], others: readonly number[]): Gate {
  const [ours, theirs] = [medianOf(rates) / 1e6, medianOf(others) / 1e6];
  return atLeast(
    `${way}: faster than docker cp`,
    ours / theirs,
    1,
    `${ours.toFixed(0)} / ${theirs.toFixed(0)} MB/s`,
  );
}

/** The resident memory of the service, looked at all the time, against what it was at `begin`. */
class MemoryWatch implements AsyncDisposable {
  readonly #pid: number;
  readonly #timer: NodeJS.Timeout;
  #beginMb = 0;
  #mostMb = 0;

  constructor(pid: number) {
    this.#pid = pid;
    this.#timer = setInterval(() => this.#look(), watchMs);
  }

  begin(): void {
    this.#beginMb = this.#residentMb();
    this.#mostMb = this.#beginMb;
  }

  growthMb(): number {
    this.#look();
    return this.#mostMb - this.#beginMb;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
  }

  #look(): void {
    this.#mostMb = Math.max(this.#mostMb, this.#residentMb());
  }

  #residentMb(): number {
    const status = readFileSync(`/proc/${this.#pid}/status`, 'utf8');
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1_024;
  }
}
