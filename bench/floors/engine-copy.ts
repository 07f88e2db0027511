import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import type Docker from 'dockerode';
import tar from 'tar-stream';
import { baseImage, clientOf } from '../../test/support/docker-images.ts';

/** What `docker cp` does: one archive call of the engine each way, here on a container of its own with the same image. */
export class EngineCopy implements AsyncDisposable {
  readonly #container: Docker.Container;

  static async start(dockerHost: string): Promise<EngineCopy> {
    const container = await clientOf(dockerHost).createContainer({
      Image: baseImage,
      Cmd: ['sleep', 'infinity'],
      HostConfig: { NetworkMode: 'none' },
    });
    await container.start();
    return new EngineCopy(container);
  }

  private constructor(container: Docker.Container) {
    this.#container = container;
  }

  /** Bytes per second. */
  async up(bytes: number): Promise<number> {
    const piece = Buffer.alloc(65_536, 0x61);
    const pack = tar.pack();
    const archive = new PassThrough({ highWaterMark: 1_048_576 });
    pack.pipe(archive);
    const startedMs = performance.now();
    const put = this.#container.putArchive(archive, { path: '/tmp' });
    const entry = pack.entry({ name: 'bench-file', size: bytes });
    for (let left = bytes; left > piece.length; left -= piece.length) {
      if (!entry.write(piece)) await once(entry, 'drain');
    }
    entry.end(piece);
    pack.finalize();
    await put;
    return bytes / ((performance.now() - startedMs) / 1_000);
  }

  /** Bytes per second, the archive's headers included. */
  async down(): Promise<number> {
    const startedMs = performance.now();
    const stream = await this.#container.getArchive({ path: '/tmp/bench-file' });
    let received = 0;
    stream.on('data', (chunk: Buffer) => {
      received += chunk.length;
    });
    await once(stream, 'end');
    return received / ((performance.now() - startedMs) / 1_000);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#container.remove({ force: true });
  }
}
