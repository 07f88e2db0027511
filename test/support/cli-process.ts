import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { after } from 'node:test';
import { packageRoot } from '../../src/package-root.ts';
import { mainProgram } from './node-program.ts';
import { within } from './within.ts';

export interface CliResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** What a test that failed half way left running would keep its file from ending. */
const running = new Set<ChildProcessWithoutNullStreams>();
after(() => {
  for (const child of running) child.kill('SIGKILL');
});

/** The command line as a user runs it, in a process of its own with a clean environment. */
export class CliProcess {
  readonly child: ChildProcessWithoutNullStreams;
  readonly #closed: Promise<unknown[]>;
  #stdout = '';
  #stderr = '';

  constructor(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    this.child = spawn(process.execPath, [...mainProgram, ...args], {
      cwd: packageRoot(),
      env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env },
    });
    running.add(this.child);
    this.#closed = once(this.child, 'close');
    void this.#closed.then(() => running.delete(this.child));
    this.child.stdout.on('data', (bytes: Buffer) => {
      this.#stdout += bytes;
    });
    this.child.stderr.on('data', (bytes: Buffer) => {
      this.#stderr += bytes;
    });
    this.child.stdin.on('error', () => {});
  }

  get stdout(): string {
    return this.#stdout;
  }

  /** Settles when its stdout holds this, or rejects when it ends without. */
  async printed(text: string): Promise<void> {
    while (!this.#stdout.includes(text)) {
      const more = once(this.child.stdout, 'data');
      const ended = this.#closed.then(() => {
        if (!this.#stdout.includes(text))
          throw new Error(`it ended without printing "${text}": ${this.#stderr}`);
      });
      await within(Promise.race([more, ended]), () => `no "${text}" after ${this.#said()}`);
    }
  }

  async result(): Promise<CliResult> {
    const [code] = await within(this.#closed, () => `it does not end, after ${this.#said()}`);
    return { code: typeof code === 'number' ? code : null, stdout: this.#stdout, stderr: this.#stderr };
  }

  #said(): string {
    return JSON.stringify([this.#stdout.slice(-2_000), this.#stderr.slice(-2_000)]);
  }
}
