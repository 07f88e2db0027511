import { ServerProcess } from '../server-process.ts';

/** From a sandbox, which is F5, or into it. */
export interface RawPipeRequest {
  readonly bytes: number;
  readonly way: 'down' | 'up';
}

/** F5, measured in a process of its own (raw-pipe-reader.ts says what it is). */
export class RawPipe implements AsyncDisposable {
  readonly #reader: ServerProcess;

  static async start(dockerHost: string | null): Promise<RawPipe> {
    const module = new URL('./raw-pipe-reader.ts', import.meta.url);
    return new RawPipe(await ServerProcess.start(module, { dockerHost }, null));
  }

  private constructor(reader: ServerProcess) {
    this.#reader = reader;
  }

  async bytesPerSecond(bytes: number, way: RawPipeRequest['way'] = 'down'): Promise<number> {
    const { rate } = (await this.#reader.ask({ bytes, way })) as { readonly rate: number };
    return rate;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader[Symbol.asyncDispose]();
  }
}
