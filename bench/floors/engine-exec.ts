import type Docker from 'dockerode';
import { baseImage, clientOf } from '../../test/support/docker-images.ts';

/**
 * What running `true` costs by the Docker exec API, all four calls that it takes to know how it ended: create, start,
 * read to the end, inspect. The container is of the same image, unlimited and with the engine's defaults.
 */
export class EngineExec implements AsyncDisposable {
  readonly #container: Docker.Container;

  static async start(dockerHost: string): Promise<EngineExec> {
    const container = await clientOf(dockerHost).createContainer({
      Image: baseImage,
      Cmd: ['sleep', 'infinity'],
      HostConfig: { NetworkMode: 'none' },
    });
    await container.start();
    return new EngineExec(container);
  }

  private constructor(container: Docker.Container) {
    this.#container = container;
  }

  /** One command; milliseconds. */
  async call(): Promise<number> {
    const startedMs = performance.now();
    const exec = await this.#container.exec({ Cmd: ['true'], AttachStdout: true, AttachStderr: true });
    const stream = await exec.start({});
    await new Promise<void>((resolve, reject) => {
      stream.on('end', resolve);
      stream.on('error', reject);
      stream.resume();
    });
    const { ExitCode } = await exec.inspect();
    const tookMs = performance.now() - startedMs;
    stream.destroy();
    if (ExitCode !== 0 && ExitCode !== null) throw new Error(`true ended with ${ExitCode}`);
    return tookMs;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#container.remove({ force: true });
  }
}
