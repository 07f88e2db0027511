import { createHash, type Hash } from 'node:crypto';
import { startProcess } from '../../src/operations/process.ts';
import { readFile } from '../../src/operations/read-file.ts';
import { writeFile } from '../../src/operations/write-file.ts';
import { announce, readSetup } from '../server-process.ts';
import type { BulkAnswer, BulkRequest } from './bulk-client.ts';
import { type DataSession, openDataSession } from './open-data-session.ts';

/**
 * The client's process: one socket into one sandbox, and how fast much goes through it. Of its own, as the floor's reader is:
 * the bench around it has a heap of compilers and test tools, which the collector would walk for every 64 MB of output.
 */
async function answer(session: DataSession, request: BulkRequest): Promise<BulkAnswer> {
  const { bytes } = request;
  if (request.what === 'output') return { rate: await outputRate(session, bytes, undefined) };
  if (request.what === 'terminal') return { rate: await outputRate(session, bytes, { cols: 80, rows: 24 }) };
  if (request.what === 'up') return upload(session, bytes);
  if (request.what === 'down') return { rate: await download(session, bytes, null) };
  const hash = createHash('sha256');
  const rate = await download(session, bytes, hash);
  return { rate, sha256: hash.digest('hex') };
}

/** Bytes per second from the first to the last of the output. */
async function outputRate(
  session: DataSession,
  bytes: number,
  tty: { readonly cols: number; readonly rows: number } | undefined,
): Promise<number> {
  let received = 0;
  let firstMs = 0;
  const argv = ['head', '-c', String(bytes), '/dev/zero'];
  const process = await startProcess(session, { argv, ...(tty ? { tty } : { stdin: false }) });
  for await (const { bytes: piece } of process.output) {
    if (received === 0) firstMs = performance.now();
    received += piece.length;
  }
  const seconds = (performance.now() - firstMs) / 1_000;
  if (received !== bytes) throw new Error(`${received} of ${bytes} bytes of output came`);
  return bytes / seconds;
}

async function upload(session: DataSession, bytes: number): Promise<BulkAnswer> {
  const piece = Buffer.alloc(65_536);
  for (let index = 0; index < piece.length; index += 4)
    piece.writeUInt32LE((index * 2_654_435_761) >>> 0, index);
  const hash = createHash('sha256');
  for (let sent = 0; sent < bytes; sent += piece.length) hash.update(piece);
  const startedMs = performance.now();
  await writeFile(
    session,
    { path },
    (async function* pieces() {
      for (let sent = 0; sent < bytes; sent += piece.length) yield piece;
    })(),
  );
  const seconds = (performance.now() - startedMs) / 1_000;
  return { rate: bytes / seconds, sha256: hash.digest('hex') };
}

/** With `hash` the checksum of what came, else how fast it came: hashing is no part of the way. */
async function download(session: DataSession, bytes: number, hash: Hash | null): Promise<number> {
  const startedMs = performance.now();
  const reading = await readFile(session, { path });
  let received = 0;
  for await (const piece of reading.bytes) {
    received += piece.length;
    hash?.update(piece);
  }
  await reading.end;
  const seconds = (performance.now() - startedMs) / 1_000;
  if (received !== bytes) throw new Error(`${received} of ${bytes} bytes of the file came`);
  return bytes / seconds;
}

/** In the home folder: that is where a sandbox has its disk. */
const path = 'bench-file';

const session = await openDataSession(readSetup<{ wsUrl: string; dataToken: string }>());
process.on('message', (request: BulkRequest) => {
  answer(session, request).then(
    (result) => process.send?.(result),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
announce('', async () => {
  await session[Symbol.asyncDispose]();
});
