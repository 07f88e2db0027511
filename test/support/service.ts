import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { stringify } from 'yaml';
import { packageRoot } from '../../src/package-root.ts';
import { mainProgram } from './node-program.ts';
import { within } from './within.ts';

/**
 * The service as a user runs it: `warmpool serve` in a process of its own, on free ports, with a state folder of its
 * own. A folder may be handed from one run to the next, to test what a restart finds.
 */
export class TestService implements AsyncDisposable {
  readonly process: ChildProcess;
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  readonly lines: LogLine[] = [];
  readonly folder: ServiceFolder;
  #stderr = '';
  readonly #ownsFolder: boolean;
  readonly #listeners = new Set<() => void>();
  grpc = '';
  http = '';

  static async start(options: ServiceOptions): Promise<TestService> {
    const service = new TestService(options);
    const line = await service.logged('warmpool is serving').catch(async (error: unknown) => {
      await service[Symbol.asyncDispose]();
      throw error;
    });
    service.grpc = String(line.grpc);
    service.http = `http://${String(line.http)}`;
    return service;
  }

  private constructor(options: ServiceOptions) {
    this.#ownsFolder = options.folder === undefined;
    this.folder = options.folder ?? new ServiceFolder(options.pools);
    this.process = spawn(process.execPath, [...(options.nodeOptions ?? []), ...mainProgram, 'serve'], {
      cwd: packageRoot(),
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: process.env.PATH,
        HOME: process.env.HOME,
        WARMPOOL_GRPC_LISTEN: '127.0.0.1:0',
        WARMPOOL_HTTP_LISTEN: '127.0.0.1:0',
        WARMPOOL_DATA_LISTEN: '127.0.0.1:0',
        WARMPOOL_STATE_DIR: this.folder.state,
        WARMPOOL_POOLS: this.folder.pools,
        WARMPOOL_NODE_ID: this.folder.nodeId,
        ...options.env,
      },
    });
    this.exited = once(this.process, 'exit').then(([code, signal]) => ({ code, signal }));
    const { stdout, stderr } = this.process;
    if (!stdout || !stderr) throw new Error('the service has no output pipes');
    createInterface(stdout).on('line', (text) => this.#onLine(text));
    stderr.on('data', (chunk: Buffer) => {
      this.#stderr += chunk;
    });
    void this.exited.then(() => this.#notify());
  }

  get stderr(): string {
    return this.#stderr;
  }

  /** The first line with this message, past or future. Rejects when the service ends without it. */
  async logged(message: string): Promise<LogLine> {
    for (;;) {
      const line = this.lines.find((each) => each.msg.includes(message));
      if (line) return line;
      if (this.process.exitCode !== null || this.process.signalCode !== null)
        throw new Error(`the service ended before it logged "${message}"\n${this.#lastWords()}`);
      const more = new Promise<void>((resolve) => this.#listeners.add(resolve));
      await within(more, () => `the service does not log "${message}"\n${this.#lastWords()}`);
    }
  }

  /** Sends the signal and waits for the end. */
  async kill(signal: NodeJS.Signals) {
    this.process.kill(signal);
    return this.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.process.exitCode === null && this.process.signalCode === null) {
      this.process.kill('SIGTERM');
      // A drain that hangs must not hang the test run; what it leaves behind is found by the runner.
      const force = setTimeout(() => this.process.kill('SIGKILL'), 60_000);
      await this.exited;
      clearTimeout(force);
    }
    if (this.#ownsFolder) this.folder[Symbol.dispose]();
  }

  #lastWords(): string {
    const lines = this.lines.slice(-10).map((each) => JSON.stringify(each));
    return `${this.#stderr}${lines.join('\n')}`;
  }

  #onLine(text: string): void {
    this.lines.push(JSON.parse(text) as LogLine);
    this.#notify();
  }

  #notify(): void {
    for (const wake of this.#listeners) wake();
    this.#listeners.clear();
  }
}

/** What outlives one run of a service: its state folder, its pool files, its node id. */
export class ServiceFolder implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), 'warmpool-test-'));
  readonly state = join(this.path, 'state');
  readonly pools = join(this.path, 'pools');
  readonly nodeId = `test-${this.path.slice(-6).toLowerCase()}`;

  constructor(pools: readonly PoolFile[]) {
    chmodSync(this.path, 0o711);
    this.writePools(pools);
  }

  writePools(pools: readonly PoolFile[]): void {
    rmSync(this.pools, { recursive: true, force: true });
    mkdirSync(this.pools);
    for (const pool of pools) writeFileSync(join(this.pools, `${pool.name}.yaml`), stringify(pool));
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

export interface ServiceOptions {
  readonly pools: readonly PoolFile[];
  readonly folder?: ServiceFolder;
  readonly env?: Readonly<Record<string, string>>;
  /** For Node itself, such as `--cpu-prof`. */
  readonly nodeOptions?: readonly string[];
}

/** As in a pool file. */
export interface PoolFile {
  readonly name: string;
  readonly template?: Readonly<Record<string, unknown>>;
  readonly size?: Readonly<Record<string, unknown>>;
  readonly lease?: Readonly<Record<string, unknown>>;
}

interface LogLine {
  readonly msg: string;
  readonly level: string;
  readonly [field: string]: unknown;
}
