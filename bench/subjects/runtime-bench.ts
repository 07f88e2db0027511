import type { Duplex } from 'node:stream';
import { ClosingStack } from '../../src/closing-stack.ts';
import { newSandboxId } from '../../src/domain/ids.ts';
import type { TemplateSpec } from '../../src/domain/pool-spec.ts';
import type { SandboxRuntime } from '../../src/runtime/sandbox-runtime.ts';
import {
  BubblewrapSandboxes,
  bubblewrapAsRoot,
  hostTemplate,
} from '../../test/support/bubblewrap-sandboxes.ts';
import { dockerEngineMissing, useDockerEngine } from '../../test/support/docker-engine.ts';
import { DockerSandboxes, template } from '../../test/support/docker-sandboxes.ts';
import { PartMissing } from '../subject.ts';

/**
 * One runtime as the subjects need it: a service can be pointed at it, and sandboxes can be booted beside the service
 * straight from this process. Owns the engine where none was given, and every sandbox booted here.
 */
export class RuntimeBench implements AsyncDisposable {
  readonly name: 'bubblewrap' | 'docker';
  readonly runtime: SandboxRuntime;
  readonly template: TemplateSpec;
  /** null for bubblewrap. */
  readonly dockerHost: string | null;
  readonly #started: ClosingStack;

  /** Throws PartMissing with what to install. */
  static async start(name: 'bubblewrap' | 'docker'): Promise<RuntimeBench> {
    const started = new ClosingStack();
    try {
      return name === 'docker' ? await startDocker(started) : await startBubblewrap(started);
    } catch (error) {
      await started[Symbol.asyncDispose]();
      throw error;
    }
  }

  constructor(options: {
    readonly name: 'bubblewrap' | 'docker';
    readonly runtime: SandboxRuntime;
    readonly template: TemplateSpec;
    readonly dockerHost: string | null;
    readonly started: ClosingStack;
  }) {
    this.name = options.name;
    this.runtime = options.runtime;
    this.template = options.template;
    this.dockerHost = options.dockerHost;
    this.#started = options.started;
  }

  /** For the service: its choice of runtime and engine. */
  get serviceEnv(): Readonly<Record<string, string>> {
    return {
      WARMPOOL_RUNTIME: this.name,
      WARMPOOL_LOG_LEVEL: 'info',
      ...(this.dockerHost !== null && { DOCKER_HOST: this.dockerHost }),
    };
  }

  async boot(): Promise<{ readonly id: string; readonly transport: Duplex }> {
    const id = newSandboxId(0);
    const request = { sandboxId: id, pool: 'bench', storeId: 'bench', template: this.template };
    const { transport } = await this.runtime.boot(request, AbortSignal.timeout(bootMsMax));
    return { id, transport };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#started[Symbol.asyncDispose]();
  }
}

async function startDocker(started: ClosingStack): Promise<RuntimeBench> {
  const missing = dockerEngineMissing();
  if (missing !== null) throw new PartMissing(missing);
  const { dockerHost } = started.use(await useDockerEngine());
  const { runtime } = started.use(await DockerSandboxes.onBaseImage(dockerHost));
  return new RuntimeBench({ name: 'docker', runtime, template: template(), dockerHost, started });
}

async function startBubblewrap(started: ClosingStack): Promise<RuntimeBench> {
  const { skip } = await bubblewrapAsRoot();
  if (skip !== false) throw new PartMissing(skip);
  const { runtime } = started.use(new BubblewrapSandboxes());
  const report = await runtime.inspectHost();
  if (!report.usable) throw new PartMissing(report.reason);
  await runtime.prepare(hostTemplate());
  return new RuntimeBench({
    name: 'bubblewrap',
    runtime,
    template: hostTemplate(),
    dockerHost: null,
    started,
  });
}

const bootMsMax = 60_000;
