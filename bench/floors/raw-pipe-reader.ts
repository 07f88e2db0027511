import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { baseImage, clientOf } from '../../test/support/docker-images.ts';
import { announce, readSetup } from '../server-process.ts';

/**
 * The floor's process: bytes per second of the pipe that carries a sandbox's link, with nothing in between. A process
 * writes zeros to its stdout, and this process counts what arrives. On bubblewrap that is the socket pair that Node makes
 * for a child; on Docker the engine's attach stream, its eight-byte headers counted but not read. It is a process of its
 * own, because hundreds of megabytes of buffers leave a collector behind that is busy for whoever comes next.
 */
async function bytesPerSecond(bytes: number): Promise<number> {
  return dockerHost === null ? ofSocketPair(bytes) : ofAttach(bytes, dockerHost);
}

async function ofSocketPair(bytes: number): Promise<number> {
  const writer = spawn('head', ['-c', String(bytes), '/dev/zero'], { stdio: ['ignore', 'pipe', 'inherit'] });
  return rateOf(writer.stdout, bytes);
}

async function ofAttach(bytes: number, dockerHost: string): Promise<number> {
  const container = await clientOf(dockerHost).createContainer({
    Image: baseImage,
    Cmd: ['head', '-c', String(bytes), '/dev/zero'],
    AttachStdout: true,
    HostConfig: { NetworkMode: 'none', LogConfig: { Type: 'none', Config: {} } },
  });
  try {
    const stream = await container.attach({ stream: true, stdout: true, hijack: true, stdin: true });
    const rate = rateOf(stream as unknown as Readable, bytes);
    await container.start();
    return await rate;
  } finally {
    await container.remove({ force: true });
  }
}

/** From the first byte to the last, so that no start of a process is in it. */
async function rateOf(stream: Readable, bytes: number): Promise<number> {
  let received = 0;
  let startedMs = 0;
  stream.on('data', (chunk: Buffer) => {
    if (received === 0) startedMs = performance.now();
    received += chunk.length;
  });
  await once(stream, 'end');
  const seconds = (performance.now() - startedMs) / 1_000;
  if (received < bytes) throw new Error(`the raw pipe lost ${bytes - received} bytes`);
  return bytes / seconds;
}

const { dockerHost } = readSetup<{ dockerHost: string | null }>();
process.on('message', (message: { readonly bytes: number }) => {
  bytesPerSecond(message.bytes).then((rate) => process.send?.({ rate }));
});
announce('', async () => {});
