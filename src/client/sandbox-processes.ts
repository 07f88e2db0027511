import { type ListedProcess, listProcesses } from '../operations/list-processes.ts';
import { attachProcess, type Process } from '../operations/process.ts';
import { call } from './client-call.ts';
import type { DataConnection } from './connection.ts';
import { PipeOutput, SandboxProcess } from './sandbox-process.ts';
import { SandboxTerminal } from './sandbox-terminal.ts';

export interface AttachOptions {
  /** Number of the first byte of output wanted. Absent: the oldest that is kept. */
  readonly offset?: number | undefined;
  /** Ends the attaching, and later the attachment; the process goes on. */
  readonly signal?: AbortSignal | undefined;
}

/** The processes of a sandbox: those with a client, those that persist, and the last ones that ended on their own. */
export class SandboxProcesses {
  readonly #connection: DataConnection;

  constructor(connection: DataConnection) {
    this.#connection = connection;
  }

  list(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<readonly ListedProcess[]> {
    return call(this.#connection, options.signal, () => listProcesses(this.#connection, options));
  }

  /**
   * Goes on with a process that was started to persist, and takes it from the client that has it, which is told so
   * (`taken_over`). Rejects with `process_unknown` when there is none of this number.
   */
  async attach(process: number, options: AttachOptions = {}): Promise<SandboxProcess> {
    const output = new PipeOutput({ ignoreStderr: false });
    const attached = await this.#attach(process, options, output);
    return new SandboxProcess(attached, output, { persists: true });
  }

  /** The same for one on a terminal. */
  async attachTerminal(process: number, options: AttachOptions = {}): Promise<SandboxTerminal> {
    return new SandboxTerminal(await this.#attach(process, options), { persists: true });
  }

  #attach(process: number, options: AttachOptions, sink?: PipeOutput): Promise<Process> {
    const { offset, signal } = options;
    const request = { process, offset, windowBytes: attachWindowBytes };
    return call(this.#connection, signal, () => attachProcess(this.#connection, request, { sink, signal }));
  }
}

/** Half of what is kept of a process's output unless it was told otherwise, so that a cut in the middle loses nothing. */
const attachWindowBytes = 131_072;
