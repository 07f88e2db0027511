import { ClosingStack } from '../../src/closing-stack.ts';
import { startProcess } from '../../src/operations/process.ts';
import { LinkPing } from '../floors/link-ping.ts';
import { SocketEcho } from '../floors/socket-echo.ts';
import { takeTurns } from '../measure/take-turns.ts';
import { atMost, type Outcome, spread } from '../outcome.ts';
import { type Bench, PartMissing, type Subject, skipped } from '../subject.ts';
import { DataBench } from './data-session.ts';
import type { DataSession } from './open-data-session.ts';

/**
 * S7: a key pressed in a terminal until its echo is back. The gate is held against the echo of the terminal itself (the
 * line discipline answers); a shell that reads and draws the key by itself is shown beside it.
 */
export const keystroke: Subject = { id: 'S7', run };

/**
 * After 200 rounds the figures were of code that the engine had not compiled yet: subject and floors all halve from there to
 * 2,000, the subject most, which has more code (2.2 times the floors then, 1.8 now).
 */
const warmupRounds = 2_000;

async function run(bench: Bench): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const name of bench.options.runtimes) {
    try {
      outcomes.push(await measure(bench, name));
    } catch (error) {
      if (!(error instanceof PartMissing)) throw error;
      outcomes.push(skipped('S7', name, error.message));
    }
  }
  return outcomes;
}

async function measure(bench: Bench, name: 'bubblewrap' | 'docker'): Promise<Outcome> {
  const started = new ClosingStack();
  try {
    const data = started.use(
      await DataBench.start(
        name,
        { size: { minReady: 1, maxReady: 1, maxTotal: 2 } },
        bench.options.cpuProfFolder,
      ),
    );
    const socket = started.use(await SocketEcho.start());
    const link = await LinkPing.open((await data.runtime.boot()).transport);
    const session = started.use(await data.session());
    const terminal = await Terminal.open(session, ['sleep', '3600']);
    const shell = await Terminal.open(session, ['bash', '--norc', '-i']);
    const samples = await takeTurns(
      [
        { name: 'F3', run: () => link.call() },
        { name: 'F4', run: () => socket.call() },
        { name: 'S7', run: () => terminal.press() },
        { name: 'shell', run: () => shell.press() },
      ],
      {
        samples: bench.options.samples,
        warmupRounds,
        signal: bench.signal,
        onRound: (done, of) => bench.progress(`S7 on ${name}: ${done} of ${of}`),
      },
    );
    const [F3, F4, S7] = [samples.F3.summary(), samples.F4.summary(), samples.S7.summary()];
    const floorMs = F3.p50 + F4.p50;
    return {
      kind: 'measured',
      subject: 'S7',
      on: name,
      figures: [
        spread(`F3 64 bytes to the guest and back, ${name}`, F3),
        spread('F4 64 bytes to a bare WebSocket server and back', F4),
        spread(`S7 keystroke and its echo, ${name}`, S7),
        spread(`the same, drawn by bash, ${name}`, samples.shell.summary()),
      ],
      gates: [
        atMost('p50 ≤ 2 × (F3 + F4)', S7.p50 / floorMs, 2, `${S7.p50.toFixed(3)} / ${floorMs.toFixed(3)} ms`),
      ],
      notes: [],
    };
  } finally {
    await started[Symbol.asyncDispose]();
  }
}

/** A process on a terminal. Keys are letters, and every 60th ends the line, so that no editor scrolls sideways. */
class Terminal {
  #presses = 0;
  #onOutput: () => void = () => {};
  readonly #key = new Uint8Array(1);
  #process: Awaited<ReturnType<typeof startProcess>> | undefined;

  static async open(session: DataSession, argv: readonly string[]): Promise<Terminal> {
    const terminal = new Terminal();
    let owedBytes = 0;
    const process = await startProcess(
      session,
      { argv, tty: { cols: 200, rows: 50 } },
      {
        sink: {
          onOutput: (_stream, bytes) => {
            if (terminal.#process) terminal.#process.release(bytes.length);
            else owedBytes += bytes.length;
            terminal.#onOutput();
          },
        },
      },
    );
    terminal.#process = process;
    if (owedBytes > 0) process.release(owedBytes);
    await terminal.#quiet();
    return terminal;
  }

  /** Milliseconds until the first bytes come back. */
  async press(): Promise<number> {
    this.#presses += 1;
    if (this.#presses % 60 === 0) {
      void this.#process?.writeInput(eraseLine);
      await this.#quiet();
    }
    this.#key[0] = 0x61 + (this.#presses % 26);
    const startedMs = performance.now();
    const echoed = new Promise<number>((resolve) => {
      this.#onOutput = () => resolve(performance.now() - startedMs);
    });
    void this.#process?.writeInput(this.#key);
    return echoed;
  }

  /** Settles when nothing more is printed: a prompt, or a line being erased. */
  #quiet(): Promise<void> {
    return new Promise((resolve) => {
      let timer = setTimeout(resolve, quietMs);
      this.#onOutput = () => {
        clearTimeout(timer);
        timer = setTimeout(resolve, quietMs);
      };
    });
  }
}

/** ^U: the line discipline and readline both erase what was typed. */
const eraseLine = Uint8Array.of(0x15);
const quietMs = 50;
