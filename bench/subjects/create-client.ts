import { credentials } from '@grpc/grpc-js';
import type { Sandbox__Output } from '../../src/grpc/gen/warmpool/v1/Sandbox.ts';
import { contract } from '../../src/grpc/wire/contract.ts';
import { channelOptions } from '../floors/echo-contract.ts';
import { ServerProcess } from '../server-process.ts';
import { prefilledSpec } from './prefilled-pool.ts';

/** The service's create, called by the same kind of bare grpc-js client as the floor, over one channel. */
export class CreateClient implements AsyncDisposable {
  readonly server: ServerProcess;
  readonly #client: InstanceType<typeof contract.SandboxService>;

  static async start(redisUrl: string | null, cpuProfFolder: string | null): Promise<CreateClient> {
    const module = new URL('./allocator-server.ts', import.meta.url);
    return new CreateClient(await ServerProcess.start(module, { redisUrl }, cpuProfFolder));
  }

  private constructor(server: ServerProcess) {
    this.server = server;
    this.#client = new contract.SandboxService(server.address, credentials.createInsecure(), channelOptions);
  }

  /** One create, which has to be a hit; milliseconds. */
  call(): Promise<number> {
    return new Promise((resolve, reject) => {
      const startedMs = performance.now();
      this.#client.createSandbox({ template: prefilledSpec.name }, (error, response) => {
        const tookMs = performance.now() - startedMs;
        if (error) reject(error);
        else if (!isHit(response?.sandbox)) reject(new Error('a create was no hit: the pool ran empty'));
        else resolve(tookMs);
      });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client.close();
    await this.server[Symbol.asyncDispose]();
  }
}

function isHit(sandbox: Sandbox__Output | null | undefined): boolean {
  return sandbox?.launch === 'LAUNCH_WARM' && sandbox.state === 'SANDBOX_STATE_RUNNING';
}
