import type { Lease, LeaseNotice } from '../../protocol/session-messages.ts';
import type { TerminalSize } from '../operations/process.ts';
import { readStats, type SandboxStats } from '../operations/stats.ts';
import type { ReconnectOptions } from './backoff.ts';
import { call } from './client-call.ts';
import type { CommandLine, CommandOptions, PersistOptions } from './command.ts';
import { type ConnectionState, DataConnection } from './connection.ts';
import { dialBrowser } from './dial-browser.ts';
import { type CommandResult, type ExecOptions, runCommand } from './run-command.ts';
import { type AbortOptions, SandboxFiles } from './sandbox-files.ts';
import { SandboxPorts } from './sandbox-ports.ts';
import { PipeOutput, SandboxProcess } from './sandbox-process.ts';
import { SandboxProcesses } from './sandbox-processes.ts';
import { SandboxTerminal } from './sandbox-terminal.ts';
import { startCommand } from './start-command.ts';

export interface ConnectSandbox {
  /** `ws_url` of the created sandbox. */
  readonly wsUrl: string;
  /** Its `data_token`; in Node an API key of its tenant will do. Absent for a service without authentication. */
  readonly token?: string | undefined;
  /** How to come back after the connection broke. Default: at once, then with pauses up to 10 s, for 5 minutes. */
  readonly reconnect?: ReconnectOptions | undefined;
  /** Ends the connecting; a connection that stands is ended with `close`. */
  readonly signal?: AbortSignal | undefined;
}

export interface SpawnOptions extends CommandOptions, PersistOptions {
  /** false: its stdin is `/dev/null`. Default true. */
  readonly stdin?: boolean | undefined;
  /** `ignore`: read and dropped. */
  readonly stderr?: 'read' | 'ignore' | undefined;
}

export interface TerminalOptions extends CommandOptions, PersistOptions, Partial<TerminalSize> {
  /** Absent: a login shell, bash where there is one. */
  readonly command?: CommandLine | undefined;
}

/**
 * One sandbox, over one connection that commands, files and ports share, and that is made again when it breaks. What was
 * started to persist is then attached again, without a gap or a duplicate in its output; everything else that was under
 * way fails with `connection_lost`. All methods wait for the connection, reject with a WarmpoolClientError that has a
 * `code`, and take an AbortSignal, whose reason they reject with.
 *
 *     const sandbox = await Sandbox.connect({ wsUrl, token });
 *     const { stdout } = await sandbox.exec('uname -a');
 */
export class Sandbox implements AsyncDisposable {
  readonly files: SandboxFiles;
  readonly ports: SandboxPorts;
  readonly processes: SandboxProcesses;
  readonly #connection: DataConnection;

  /** Connects through the platform's own WebSocket. Rejects when that fails: `unreachable`, `unauthenticated`, … */
  static async connect(options: ConnectSandbox): Promise<Sandbox> {
    const { wsUrl, token, reconnect } = options;
    const connection = new DataConnection({ dial: dialBrowser }, { url: wsUrl, token, reconnect });
    await connection.ready(options.signal);
    return new Sandbox(connection);
  }

  constructor(connection: DataConnection) {
    this.#connection = connection;
    this.files = new SandboxFiles(connection);
    this.ports = new SandboxPorts(connection);
    this.processes = new SandboxProcesses(connection);
  }

  /** `connected`, `reconnecting` with the reason and the pause, `closed` with the reason, … */
  get state(): ConnectionState {
    return this.#connection.state;
  }

  /** As the service last told it, less the time since; null before the first connection. */
  get lease(): Lease | null {
    return this.#connection.lease;
  }

  /** Runs a command to its end and gives back what it printed. An exit code other than 0 is no error. */
  exec(command: CommandLine, options: ExecOptions = {}): Promise<CommandResult> {
    return runCommand(this.#connection, command, options);
  }

  /** Starts a command with pipes. Rejects with `command_not_found`, `cwd_invalid`, `user_unknown`, … */
  async spawn(command: CommandLine, options: SpawnOptions = {}): Promise<SandboxProcess> {
    const sink = new PipeOutput({ ignoreStderr: options.stderr === 'ignore' });
    const more = { stdin: options.stdin ?? true, sink };
    const process = await startCommand(this.#connection, command, options, more);
    return new SandboxProcess(process, sink, { persists: options.persist ?? false });
  }

  /** Starts a shell, or a command, on a terminal of 80 × 24 unless told otherwise. It persists unless told otherwise. */
  async pty(options: TerminalOptions = {}): Promise<SandboxTerminal> {
    const { command = loginShell, cols = 80, rows = 24, persist = true } = options;
    const more = { stdin: true, tty: { cols, rows } };
    const process = await startCommand(this.#connection, command, { ...options, persist }, more);
    return new SandboxTerminal(process, { persists: persist });
  }

  stats(options: AbortOptions = {}): Promise<SandboxStats> {
    return call(this.#connection, options.signal, () => readStats(this.#connection, options));
  }

  /** Renews the lease by `ttlMs`, or by its own. Using the sandbox does that too; looking at it does not. */
  keepAlive(ttlMs?: number, options: AbortOptions = {}): Promise<Lease> {
    return call(this.#connection, options.signal, () => this.#connection.keepAlive(ttlMs, options.signal));
  }

  /** Milliseconds to the node and back. */
  ping(options: AbortOptions = {}): Promise<number> {
    return call(this.#connection, options.signal, () => this.#connection.ping(options.signal));
  }

  /** `expiring` when the lease is about to end, `renewed`, `ending`. Returns what ends the listening. */
  onLease(listener: (notice: LeaseNotice) => void): () => void {
    return this.#connection.onLease(listener);
  }

  onState(listener: (state: ConnectionState) => void): () => void {
    return this.#connection.onState(listener);
  }

  /** Closes the connection. The sandbox goes on until its lease ends; what was started to persist goes on in it. */
  close(): void {
    this.#connection.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }
}

const loginShell = [
  '/bin/sh',
  '-c',
  'if command -v bash > /dev/null; then exec bash -l; else exec sh -l; fi',
];
