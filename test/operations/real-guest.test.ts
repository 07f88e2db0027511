import assert from 'node:assert/strict';
import { mkdtemp, readFile as readHostFile, rm, writeFile as writeHostFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { GuestLink } from '../../src/guest-link/guest-link.ts';
import { removeFile, statFile } from '../../src/operations/change-files.ts';
import { listFiles } from '../../src/operations/list-files.ts';
import { listProcesses } from '../../src/operations/list-processes.ts';
import { connectPort, listPorts, watchPorts } from '../../src/operations/ports.ts';
import { attachProcess, type Process, startProcess } from '../../src/operations/process.ts';
import { readFile } from '../../src/operations/read-file.ts';
import { readStats } from '../../src/operations/stats.ts';
import { readTar, writeTar } from '../../src/operations/tar.ts';
import { watchFiles } from '../../src/operations/watch-files.ts';
import { writeFile } from '../../src/operations/write-file.ts';
import { guestMissing, RealGuest } from '../guest-link/real-guest.ts';
import { refused } from './scripted-responder.ts';

const skip = guestMissing();

describe('operations in a real guest', { skip }, () => {
  let guest: RealGuest;
  let link: GuestLink;
  let folder: string;

  before(async () => {
    guest = new RealGuest('once');
    link = await guest.open();
    folder = await mkdtemp(join(tmpdir(), 'warmpool-operations-'));
  });
  after(async () => {
    await link?.[Symbol.asyncDispose]();
    await guest?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  const root = { user: '0', cwd: '/' };
  const at = (name: string) => ({ ...root, path: join(folder, name) });
  const run = (argv: readonly string[], change: object = {}) =>
    startProcess(link, { argv, ...root, env: { PATH: '/usr/bin:/bin' }, stdin: true, ...change });

  async function textOf(process: Process): Promise<string> {
    let text = '';
    for await (const { bytes } of process.output) text += Buffer.from(bytes);
    return text;
  }

  it('runs a process with input, output and an exit', async () => {
    const process = await run(['sh', '-c', 'tr a-z A-Z; echo bye >&2; exit 3']);
    await process.writeInput(Buffer.from('hello '));
    await process.writeInput(Buffer.from('world\n'));
    process.endInput();
    assert.equal(await textOf(process), 'HELLO WORLD\nbye\n');
    const { exitCode, signal } = await process.exited;
    assert.deepEqual([exitCode, signal], [3, null]);
  });

  it('I14 takes 50 MB from a flood over the least window, and any other', async () => {
    for (const [windowBytes, bytes] of [
      [1, 2_000],
      [1_024, 2_000_000],
      [undefined, 50_000_000],
    ] as const) {
      const flood = ['sh', '-c', `yes | head -c ${bytes}`];
      const process = await run(flood, windowBytes ? { windowBytes } : {});
      let received = 0;
      for await (const piece of process.output) received += piece.bytes.length;
      assert.equal(received, bytes);
      assert.equal(process.offset, bytes);
    }
  });

  it('a process whose reader left runs to its end', async () => {
    const process = await run(['sh', '-c', 'yes | head -c 5000000']);
    for await (const _ of process.output) break;
    assert.equal((await process.exited).exitCode, 0);
  });

  it('a detached process is found, and attached to where its output stopped', async () => {
    const first = await run(['sh', '-c', 'echo one; read line; echo "two $line"'], {
      detach: true,
      replayBytes: 1_000,
    });
    const output = first.output[Symbol.asyncIterator]();
    assert.equal(Buffer.from((await output.next()).value.bytes).toString(), 'one\n');
    await first.close();
    const listed = (await listProcesses(link)).find((each) => each.process === first.number);
    assert.deepEqual([listed?.running, listed?.attached, listed?.detach], [true, false, true]);
    const second = await attachProcess(link, { process: first.number, offset: first.offset });
    assert.deepEqual([second.startOffset, second.pid], [4, first.pid]);
    await second.writeInput(Buffer.from('more\n'));
    assert.equal(await textOf(second), 'two more\n');
    assert.equal((await second.exited).exitCode, 0);
  });

  it('an abort ends a process', async () => {
    const abort = new AbortController();
    const process = await startProcess(
      link,
      { argv: ['sleep', '1000'], ...root, env: { PATH: '/usr/bin:/bin' }, stdin: true },
      { signal: abort.signal },
    );
    abort.abort(new Error('enough'));
    await assert.rejects(process.exited, /enough/);
    const endMs = performance.now() + 60_000;
    while ((await listProcesses(link)).some((each) => each.process === process.number && each.running)) {
      assert.ok(performance.now() < endMs, 'it still runs');
      await new Promise((settle) => setTimeout(settle, 10));
    }
  });

  it('writes, reads, lists and removes files', async () => {
    const big = Buffer.alloc(3_000_000, 'abc');
    const written = await writeFile(link, at('big'), big);
    assert.equal(written.bytes, big.length);
    const reading = await readFile(link, { ...at('big'), sha256: true, windowBytes: 10_000 });
    assert.equal(reading.entry.size, big.length);
    const pieces: Uint8Array[] = [];
    for await (const piece of reading.bytes) pieces.push(piece);
    assert.ok(Buffer.concat(pieces).equals(big));
    assert.deepEqual((await reading.end).sha256, written.sha256);
    const listing = await listFiles(link, at('.'));
    const names = [];
    for await (const entry of listing.entries) names.push(entry.name);
    assert.deepEqual(names, ['big']);
    assert.deepEqual(await listing.end, { entries: 1, more: false });
    assert.equal((await statFile(link, at('big'))).size, big.length);
    assert.equal(await removeFile(link, at('big')), 1);
    await assert.rejects(statFile(link, at('big')), refused('not_found'));
  });

  it('a write whose source fails leaves the old file', async () => {
    await writeHostFile(join(folder, 'kept'), 'old');
    async function* source() {
      yield Buffer.alloc(100_000);
      throw new Error('the source broke');
    }
    await assert.rejects(writeFile(link, at('kept'), source()), /the source broke/);
    assert.equal(await readHostFile(join(folder, 'kept'), 'utf8'), 'old');
    await rm(join(folder, 'kept'));
  });

  it('pipes a tar stream from one directory to another', async () => {
    await writeFile(link, { ...at('from/a/b'), parents: true }, Buffer.from('deep'));
    const tar = await readTar(link, at('from'));
    const unpacked = await writeTar(link, { ...at('to'), parents: true }, tar.bytes);
    assert.equal((await tar.end).entries, unpacked.entries);
    assert.equal(await readHostFile(join(folder, 'to/a/b'), 'utf8'), 'deep');
    await removeFile(link, { ...at('from'), recursive: true });
    await removeFile(link, { ...at('to'), recursive: true });
  });

  it('watches a directory until it is left', async () => {
    const watch = await watchFiles(link, at('.'));
    await writeHostFile(join(folder, 'seen'), 'x');
    for await (const event of watch.events) {
      if (event.event === 'created' && event.path === 'seen') break;
    }
  });

  it('finds a port, tells when it opens, and tunnels into it', async () => {
    const server = createServer((socket) => socket.pipe(socket)).unref();
    const watch = await watchPorts(link);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    assert.ok(address && typeof address === 'object');
    const { port } = address;
    for await (const change of watch.changes) if (change.port === port && change.open) break;
    assert.ok((await listPorts(link)).includes(port));
    const connection = await connectPort(link, { port });
    await connection.write(Buffer.from('echo'));
    connection.end();
    let text = '';
    for await (const bytes of connection.bytes) text += Buffer.from(bytes);
    assert.equal(text, 'echo');
    await connection.closed;
    await new Promise((resolve) => server.close(resolve));
    await assert.rejects(connectPort(link, { port }), refused('connection_refused'));
  });

  it('says what the sandbox uses', async () => {
    const stats = await readStats(link);
    assert.ok(stats.memoryBytes > 0 && stats.diskUsedBytes > 0 && stats.pids > 0);
  });
});
