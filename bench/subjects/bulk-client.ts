import { ServerProcess } from '../server-process.ts';

/** `down-checked` is a download whose bytes are hashed, `terminal` output of a terminal. */
export interface BulkRequest {
  readonly what: 'output' | 'terminal' | 'up' | 'down' | 'down-checked';
  readonly bytes: number;
}

/** Bytes per second; the checksum of an upload is of what was sent, of a checked download of what came. */
export interface BulkAnswer {
  readonly rate: number;
  readonly sha256?: string;
}

/** One client in a process of its own (bulk-client-process.ts). */
export class BulkClient implements AsyncDisposable {
  readonly #process: ServerProcess;

  static async start(sandbox: { readonly wsUrl: string; readonly dataToken: string }): Promise<BulkClient> {
    const module = new URL('./bulk-client-process.ts', import.meta.url);
    const { wsUrl, dataToken } = sandbox;
    return new BulkClient(await ServerProcess.start(module, { wsUrl, dataToken }, null));
  }

  private constructor(process: ServerProcess) {
    this.#process = process;
  }

  async ask(what: BulkRequest['what'], bytes: number): Promise<BulkAnswer> {
    const answer = (await this.#process.ask({ what, bytes })) as BulkAnswer | { readonly error: string };
    if ('error' in answer) throw new Error(answer.error);
    return answer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
  }
}
