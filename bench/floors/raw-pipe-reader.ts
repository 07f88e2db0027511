import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Duplex, Readable, Writable } from 'node:stream';
import { baseImage, clientOf } from '../../test/support/docker-images.ts';
import { announce, readSetup } from '../server-process.ts';
import type { RawPipeRequest } from './raw-pipe.ts';

/**
 * The floor's process: bytes per second of the pipe that carries a sandbox's link, with nothing in between. A process
 * writes zeros to its stdout, and this process counts what arrives. On bubblewrap that is the socket pair that Node makes
 * for a child; on Docker the engine's attach stream, its eight-byte headers counted but not read. It is a process of its
 * own, because hundreds of megabytes of buffers leave a collector behind that is busy for whoever comes next.
 *
 * `up` is the other direction: this process writes, and a process takes it all and throws it away.
 */
async function bytesPerSecond({ bytes, way }: RawPipeRequest): Promise<number> {
  if (dockerHost === null) return way === 'down' ? ofSocketPair(bytes) : intoSocketPair(bytes);
  return way === 'down' ? ofAttach(bytes, dockerHost) : intoAttach(bytes, dockerHost);
}

async function ofSocketPair(bytes: number): Promise<number> {
  const writer = spawn('head', ['-c', String(bytes), '/dev/zero'], { stdio: ['ignore', 'pipe', 'inherit'] });
  return rateOf(writer.stdout, bytes);
}

async function intoSocketPair(bytes: number): Promise<number> {
  const reader = spawn('sh', ['-c', taking(bytes)], { stdio: ['pipe', 'pipe', 'inherit'] });
  return writingRate(reader.stdin, reader.stdout, bytes);
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

async function intoAttach(bytes: number, dockerHost: string): Promise<number> {
  const container = await clientOf(dockerHost).createContainer({
    Image: baseImage,
    Cmd: ['sh', '-c', taking(bytes)],
    OpenStdin: true,
    StdinOnce: true,
    AttachStdin: true,
    AttachStdout: true,
    HostConfig: { NetworkMode: 'none', LogConfig: { Type: 'none', Config: {} } },
  });
  try {
    const stream = await container.attach({ stream: true, stdin: true, stdout: true, hijack: true });
    await container.start();
    return await writingRate(stream as Duplex, stream as Duplex, bytes);
  } finally {
    await container.remove({ force: true });
  }
}

function taking(bytes: number): string {
  return `echo ready; head -c ${bytes} > /dev/null; echo done`;
}

/** From the first byte to the word that the last was taken. */
async function writingRate(to: Writable, answers: Readable, bytes: number): Promise<number> {
  const piece = Buffer.alloc(65_536, 0x61);
  await once(answers, 'data');
  const done = once(answers, 'data');
  const startedMs = performance.now();
  for (let left = bytes; left > 0; left -= piece.length) {
    if (!to.write(piece.subarray(0, left))) await once(to, 'drain');
  }
  await done;
  const seconds = (performance.now() - startedMs) / 1_000;
  to.end();
  return bytes / seconds;
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
process.on('message', (request: RawPipeRequest) => {
  bytesPerSecond(request).then((rate) => process.send?.({ rate }));
});
announce('', async () => {});
