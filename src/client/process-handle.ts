import type { Process } from '../operations/process.ts';
import { translated } from './client-call.ts';
import { type SignalName, signalNumber } from './command.ts';

/** How a process ended. */
export interface CommandEnd {
  /** null when a signal ended it. */
  readonly exitCode: number | null;
  /** A Linux signal number; null when it exited. */
  readonly signal: number | null;
  readonly timedOut: boolean;
  readonly durationMs: number;
}

/** What every process of a sandbox has, whether it writes to pipes or to a terminal. */
export abstract class ProcessHandle implements AsyncDisposable {
  readonly #process: Process;
  readonly #persists: boolean;

  constructor(process: Process, options: { readonly persists: boolean }) {
    this.#process = process;
    this.#persists = options.persists;
  }

  /** In the sandbox. */
  get pid(): number {
    return this.#process.pid;
  }

  /** Of this sandbox, never used twice: for `processes.attach`. */
  get number(): number {
    return this.#process.number;
  }

  /** Number of the first byte of output that was not read yet: where another client would go on. */
  get offset(): number {
    return this.#process.offset;
  }

  /** Settles when the bytes are on their way: await it before writing more. After the process has ended it does nothing. */
  async write(input: string | Uint8Array): Promise<void> {
    await translated(
      this.#process.writeInput(typeof input === 'string' ? new TextEncoder().encode(input) : input),
    );
  }

  /** Ends its input, after what was written. On a terminal this types the end-of-file character. */
  end(): void {
    this.#process.endInput();
  }

  /** To its process group; on a terminal SIGINT, SIGQUIT and SIGTSTP go to the foreground group. */
  signal(signal: SignalName | number): void {
    this.#process.signal(signalNumber(signal));
  }

  /** SIGKILL. */
  kill(): void {
    this.signal('SIGKILL');
  }

  /**
   * How it ended. Rejects with a WarmpoolClientError when that cannot be known: `connection_lost`, `output_lost`,
   * `exit_unknown`, `taken_over`, `closed`. Output that nobody reads holds a process up: `wait` drops what nobody asked for.
   */
  async wait(): Promise<CommandEnd> {
    this.discardUnread();
    const { exitCode, signal, timedOut, durationUs } = await translated(this.#process.exited);
    return { exitCode, signal, timedOut, durationMs: durationUs / 1_000 };
  }

  /** Leaves it: a process that persists goes on, any other is hung up (SIGHUP, and SIGKILL 5 s later). */
  async detach(): Promise<void> {
    await this.#process.close();
  }

  /** A process that persists goes on; any other is killed. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#persists) this.kill();
    await this.detach();
  }

  protected abstract discardUnread(): void;
}
