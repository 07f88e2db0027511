import { ServerProcess } from '../server-process.ts';
import { connectEcho, type EchoClient } from './echo-contract.ts';

/**
 * The edge's own cost of a command: a gRPC stream that is opened, carries one small message there and back, and ends.
 * It stands where GATES.md has F4 (a WebSocket echo), because here a command comes over gRPC.
 */
export class StreamEcho implements AsyncDisposable {
  readonly #server: ServerProcess;
  readonly #client: EchoClient;
  readonly #payload = new Uint8Array(40).fill(0x61);

  static async start(): Promise<StreamEcho> {
    const module = new URL('./echo-server.ts', import.meta.url);
    return new StreamEcho(await ServerProcess.start(module, { redisSocket: null, db: 0 }, null));
  }

  private constructor(server: ServerProcess) {
    this.#server = server;
    this.#client = connectEcho(server.address);
  }

  /** One stream from its opening to its status; milliseconds. */
  call(): Promise<number> {
    return new Promise((resolve, reject) => {
      const startedMs = performance.now();
      const stream = this.#client.stream();
      stream.on('data', () => stream.end());
      stream.on('error', reject);
      stream.on('end', () => resolve(performance.now() - startedMs));
      stream.write({ payload: this.#payload });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client.close();
    await this.#server[Symbol.asyncDispose]();
  }
}
