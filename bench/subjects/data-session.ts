import { connect, type WarmpoolClient } from '../../src/client/grpc-client.ts';
import { ClosingStack } from '../../src/closing-stack.ts';
import { TestService } from '../../test/support/service.ts';
import type { Bench } from '../subject.ts';
import { type DataSession, openDataSession } from './open-data-session.ts';
import { RuntimeBench } from './runtime-bench.ts';

/** A service with one pool on one runtime, its gRPC client, and a way to a sandbox's socket. */
export class DataBench implements AsyncDisposable {
  readonly runtime: RuntimeBench;
  readonly service: TestService;
  readonly client: WarmpoolClient;
  readonly #started: ClosingStack;

  static async start(
    name: 'bubblewrap' | 'docker',
    pool: { readonly size: object; readonly resources?: object },
    cpuProfFolder: string | null = null,
  ): Promise<DataBench> {
    const started = new ClosingStack();
    try {
      const runtime = started.use(await RuntimeBench.start(name));
      const template = { ...(pool.resources && { resources: pool.resources }) };
      const pools = [{ name: poolName, template, size: { ...pool.size }, lease: { ttl: '1h' } }];
      const nodeOptions = cpuProfFolder === null ? [] : ['--cpu-prof', `--cpu-prof-dir=${cpuProfFolder}`];
      const service = started.use(await TestService.start({ pools, env: runtime.serviceEnv, nodeOptions }));
      const client = connect(service.grpc);
      started.use({ [Symbol.asyncDispose]: async () => client.close() });
      return new DataBench(runtime, service, client, started);
    } catch (error) {
      await started[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor(
    runtime: RuntimeBench,
    service: TestService,
    client: WarmpoolClient,
    started: ClosingStack,
  ) {
    this.runtime = runtime;
    this.service = service;
    this.client = client;
    this.#started = started;
  }

  /** A sandbox that has been taken from the pool, and the socket into it. */
  async session(): Promise<DataSession> {
    const sandbox = await this.client.create(poolName);
    return openDataSession(sandbox);
  }

  async create(): Promise<Parameters<typeof openDataSession>[0] & { readonly id: string }> {
    return this.client.create(poolName);
  }

  /** Settles when nothing boots any more and this many are ready: what is measured next has the host to itself. */
  async untilReady(ready: number, bench: Bench): Promise<void> {
    for (;;) {
      bench.signal.throwIfAborted();
      const pool = await this.client.pool(poolName);
      if (pool.ready >= ready && pool.starting === 0) return;
      await new Promise((resolve) => setTimeout(resolve, pollMs));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#started[Symbol.asyncDispose]();
  }
}

const poolName = 'bench';
const pollMs = 20;
