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

  /** `module` as in the source; where this is compiled, it is compiled too. */
  static async start(module: URL, setup: object, cpuProfFolder: string | null): Promise<ServerProcess> {
    const profiling = cpuProfFolder === null ? [] : ['--cpu-prof', `--cpu-prof-dir=${cpuProfFolder}`];
    const source = fileURLToPath(module);
    const file = import.meta.url.endsWith('.js') ? source.replace(/\.ts$/, '.js') : source;
    const child = fork(file, [JSON.stringify(setup)], {
      execArgv: [...process.execArgv, ...profiling],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    const exited = once(child, 'exit').then(([code]) => {
      throw new Error(`${module.pathname} ended at its start with code ${code}`);
    });
    exited.catch(() => {});
    const [ready] = await Promise.race([once(child, 'message'), exited]);
    return new ServerProcess(child, (ready as { address: string }).address);
  }

  private constructor(child: ChildProcess, address: string) {
    this.#child = child;
    this.address = address;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Sends a message and settles with its answer; one at a time. */
  async ask(message: object): Promise<unknown> {
    const answered = once(this.#child, 'message');
    this.#child.send(message);
    const [answer] = await answered;
    return answer;
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
