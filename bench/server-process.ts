import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/**
 * A server under measurement in a process of its own, so that it has an event loop, a heap and a core's attention like
 * one in production. It is told what to be by one JSON argument, answers `{address}` over the IPC channel when it
 * serves, answers each later message by one, and ends when the channel is closed.
 */
export class ServerProcess implements AsyncDisposable {
  readonly address: string;
  readonly #child: ChildProcess;
  /** Rejects when the child has ended, which answers nothing any more. */
  readonly #ended: Promise<never>;

  /** `module` as in the source; where this is compiled, it is compiled too. */
  static async start(module: URL, setup: object, cpuProfFolder: string | null): Promise<ServerProcess> {
    const profiling = cpuProfFolder === null ? [] : ['--cpu-prof', `--cpu-prof-dir=${cpuProfFolder}`];
    const source = fileURLToPath(module);
    const file = import.meta.url.endsWith('.js') ? source.replace(/\.ts$/, '.js') : source;
    const child = fork(file, [JSON.stringify(setup)], {
      execArgv: [...process.execArgv, ...profiling],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    const ended = once(child, 'exit').then(([code, signal]) => {
      throw new Error(`${module.pathname} ended with ${code === null ? signal : `code ${code}`}`);
    });
    ended.catch(() => {});
    const [ready] = await Promise.race([once(child, 'message'), ended]);
    return new ServerProcess(child, ended, (ready as { address: string }).address);
  }

  private constructor(child: ChildProcess, ended: Promise<never>, address: string) {
    this.#child = child;
    this.#ended = ended;
    this.address = address;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Sends a message and settles with its answer; one at a time. Rejects when the process ends before. */
  async ask(message: object): Promise<unknown> {
    const settled = new AbortController();
    const answered = once(this.#child, 'message', { signal: settled.signal });
    // Whoever is not waited for any more says so by a rejection.
    answered.catch(() => {});
    try {
      // What cannot be sent is not answered, and the end of the process says why.
      this.#child.send(message, () => {});
      const [answer] = await Promise.race([answered, this.#ended]);
      return answer;
    } finally {
      settled.abort();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    if (this.#child.connected) this.#child.disconnect();
    const force = setTimeout(() => this.#child.kill('SIGKILL'), endMsMax);
    await exited;
    clearTimeout(force);
  }
}

/** In the server's process: its setup. */
export function readSetup<Setup>(): Setup {
  return JSON.parse(process.argv[2] ?? '{}') as Setup;
}

/** In the server's process: says that it serves, and closes everything when the bench lets go of it. */
export function announce(address: string, close: () => Promise<void>): void {
  // Ctrl-C goes to the whole process group; the bench ends its servers in its own order.
  process.on('SIGINT', () => {});
  process.once('disconnect', () => {
    close().finally(() => process.exit(0));
  });
  process.send?.({ address });
}

const endMsMax = 10_000;
