import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { extract, pack } from 'tar-stream';
import type { ReadFileResponse__Output } from '../../src/grpc/gen/warmpool/v1/ReadFileResponse.ts';
import type { WatchDirResponse__Output } from '../../src/grpc/gen/warmpool/v1/WatchDirResponse.ts';
import type { GuestLink } from '../../src/guest-link/guest-link.ts';
import { guestMissing, RealGuest } from '../guest-link/real-guest.ts';
import { answerOf, download, upload } from '../support/file-calls.ts';
import { grpcFixture } from '../support/grpc-fixture.ts';
import { failureOf, RawClients, streamFailure } from '../support/grpc-raw.ts';
import { until } from '../support/until.ts';

const skip = guestMissing();

describe('files over gRPC, in a real guest', { skip }, async () => {
  const { allocator, address, client } = await grpcFixture();
  const raw = new RawClients(address);
  const { files } = raw;
  const { id: sandboxId } = await client.create('base');
  let guest: RealGuest;
  let link: GuestLink;
  let folder: string;

  before(async () => {
    guest = new RealGuest('once');
    link = await guest.open();
    allocator.guest = link;
    folder = await mkdtemp(join(tmpdir(), 'warmpool-files-'));
  });
  after(async () => {
    raw.sandboxes.close();
    await link?.[Symbol.asyncDispose]();
    await guest?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  const at = (name: string) => ({ sandboxId, path: join(folder, name), user: '0', cwd: '/' });

  it('I14 carries 100 MB up and down with equal checksums and flat memory', async () => {
    const chunk = randomBytes(65_536);
    const count = 1_600;
    const expected = createHash('sha256');
    let rssMax = 0;
    const rssBefore = process.memoryUsage().rss;
    function* chunks() {
      for (let index = 0; index < count; index += 1) {
        chunk.writeUInt32BE(index);
        const copy = Buffer.from(chunk);
        expected.update(copy);
        rssMax = Math.max(rssMax, process.memoryUsage().rss);
        yield copy;
      }
    }
    const written = await upload(files, at('big'), chunks());
    const sum = expected.digest('hex');
    assert.equal(written.bytes, count * 65_536);
    assert.equal(written.sha256.toString('hex'), sum);
    assert.equal((await stat(join(folder, 'big'))).size, count * 65_536);
    const read = await download(files, { ...at('big'), sha256: true });
    assert.deepEqual(read.kinds, ['entry', 'chunk', 'end']);
    assert.equal(read.bytes, count * 65_536);
    assert.equal(read.sha256, sum);
    assert.equal(read.end?.sha256.toString('hex'), sum);
    assert.equal(Number(read.end?.bytes), count * 65_536);
    // Both ends of the call are in this process, and its garbage with them.
    assert.ok(rssMax - rssBefore < 128 * 1_048_576, `grew by ${rssMax - rssBefore} bytes`);
    await rm(join(folder, 'big'));
  });

  it('a client that does not read holds a window, and the rest waits in the sandbox', async () => {
    await writeFile(join(folder, 'slow'), randomBytes(20_000_000));
    const stream = files.readFile(at('slow'));
    let received = 0;
    const onMessage = ({ chunk }: ReadFileResponse__Output) => {
      received += chunk?.length ?? 0;
    };
    stream.on('data', onMessage);
    // grpc-js takes whatever comes until the first message was read; only from then on does it hold back.
    await once(stream, 'data');
    stream.pause();
    const session = allocator.sessions.at(-1);
    assert.ok(session);
    let uses = -1;
    while (uses !== session.uses) {
      uses = session.uses;
      for (let index = 0; index < 20; index += 1) await client.get(sandboxId);
    }
    assert.ok(uses < 80, `${uses} pieces were read ahead`);
    stream.resume();
    await once(stream, 'end');
    assert.equal(received, 20_000_000);
    assert.equal(session.closed, true);
  });

  it('reads a part, and says where a file ends', async () => {
    await writeFile(join(folder, 'part'), '0123456789');
    const part = await download(files, { ...at('part'), offset: 3, length: 4 });
    assert.deepEqual([part.bytes, part.sha256], [4, createHash('sha256').update('3456').digest('hex')]);
    assert.equal(part.end?.sha256.length, 0);
    assert.equal((await download(files, { ...at('part'), offset: 100 })).bytes, 0);
    assert.equal((await download(files, { ...at('part'), length: 0 })).bytes, 0);
  });

  it('writes in one go or not at all: a call that is cancelled in the middle leaves the old file', async () => {
    for (let round = 0; round < 20; round += 1) {
      await writeFile(join(folder, 'kept'), 'old');
      const before = allocator.sessions.length;
      let over: () => void = () => {};
      const ended = new Promise<void>((resolve) => {
        over = resolve;
      });
      const stream = files.writeFile(() => over());
      stream.write({ header: at('kept') });
      for (let count = 0; count < round * 3; count += 1) stream.write({ chunk: Buffer.alloc(16_384) });
      // A call of grpc-js that is cancelled before it has left the client never tells the server.
      await until(() => allocator.sessions.length > before, 'the call has reached the server');
      for (let turn = 0; turn < round; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      stream.cancel();
      await ended;
      // The session is closed once the file request is over.
      for (const session of allocator.sessions.slice(before)) {
        await until(() => session.closed, 'the file request is over');
      }
      assert.equal(await readFile(join(folder, 'kept'), 'utf8'), 'old', `round ${round}`);
    }
    const hidden = (await readdir(folder)).filter((name) => name.startsWith('.'));
    assert.deepEqual(hidden, []);
  });

  it('refuses other bytes than the checksum says, and keeps the old file', async () => {
    await writeFile(join(folder, 'sum'), 'old');
    const wrong = { ...at('sum'), sha256: Buffer.alloc(32) };
    await assert.rejects(upload(files, wrong, [Buffer.from('new')]), /INVALID_ARGUMENT.*checksum/);
    assert.equal(await readFile(join(folder, 'sum'), 'utf8'), 'old');
    const right = { ...at('sum'), sha256: createHash('sha256').update('new').digest() };
    await upload(files, right, [Buffer.from('new')]);
    assert.equal(await readFile(join(folder, 'sum'), 'utf8'), 'new');
  });

  it('appends, writes in place, refuses to replace, and makes the directories that lead there', async () => {
    await upload(files, { ...at('deep/er/file'), parents: true, mode: 0o600 }, [Buffer.from('hello')]);
    const path = join(folder, 'deep/er/file');
    assert.equal((await stat(path)).mode & 0o7777, 0o600);
    await upload(files, { ...at('deep/er/file'), append: true }, [Buffer.from(' world')]);
    await upload(files, { ...at('deep/er/file'), offset: 0 }, [Buffer.from('J')]);
    assert.equal(await readFile(path, 'utf8'), 'Jello world');
    await assert.rejects(upload(files, { ...at('deep/er/file'), exclusive: true }, []), /ALREADY_EXISTS/);
  });

  it('answers a refusal while the client still writes', async () => {
    const many = function* () {
      for (let count = 0; count < 2_000; count += 1) yield Buffer.alloc(65_536);
    };
    await assert.rejects(upload(files, at('no/such/folder/file'), many()), /NOT_FOUND/);
    await assert.rejects(upload(files, { ...at('x'), mode: 0o10000 }, many()), /INVALID_ARGUMENT.*mode/);
  });

  it('pages a directory by name, and goes on after what was removed meanwhile', async () => {
    await answerOf(files.makeDir.bind(files), at('pages'));
    const names = Array.from({ length: 25 }, (_, index) => `f${String(index).padStart(2, '0')}`);
    for (const name of names) await writeFile(join(folder, 'pages', name), name);
    const listed: string[] = [];
    let pageToken = '';
    do {
      const page = await answerOf(files.listDir.bind(files), { ...at('pages'), pageSize: 10, pageToken });
      assert.ok(page.entries.length <= 10);
      listed.push(...page.entries.map((entry) => entry.name));
      pageToken = page.nextPageToken;
      await rm(join(folder, 'pages', listed.at(-1) ?? ''));
    } while (pageToken !== '');
    assert.deepEqual(listed, names);
    const empty = await answerOf(files.listDir.bind(files), { ...at('pages'), pageToken: btoa('zzz') });
    assert.deepEqual([empty.entries, empty.nextPageToken], [[], '']);
  });

  it('names that are not UTF-8 are bytes, in and out', async () => {
    const name = Buffer.from([0x6e, 0xff, 0x6e]);
    const pathBytes = Buffer.concat([Buffer.from(join(folder, 'bytes/')), name]);
    await answerOf(files.makeDir.bind(files), at('bytes'));
    await upload(files, { sandboxId, pathBytes, user: '0', cwd: '/' }, [Buffer.from('x')]);
    const { entries } = await answerOf(files.listDir.bind(files), at('bytes'));
    assert.equal(entries[0]?.name, '');
    assert.deepEqual(entries[0]?.nameBytes, name);
    const { removed } = await answerOf(files.remove.bind(files), {
      sandboxId,
      pathBytes,
      user: '0',
      cwd: '/',
    });
    assert.equal(Number(removed), 1);
  });

  it('looks, makes, renames, changes and removes', async () => {
    await writeFile(join(folder, 'one'), '123');
    const { entry } = await answerOf(files.stat.bind(files), at('one'));
    assert.deepEqual([entry?.name, entry?.kind, Number(entry?.size)], ['one', 'FILE_KIND_FILE', 3]);
    const modifiedAt = { seconds: 1_000_000_000, nanos: 5_000_000 };
    const changed = await answerOf(files.change.bind(files), { ...at('one'), mode: 0o640, modifiedAt });
    assert.equal(changed.entry?.mode, 0o640);
    assert.deepEqual(changed.entry?.modifiedAt, modifiedAt);
    await answerOf(files.rename.bind(files), { ...at('one'), to: join(folder, 'two') });
    await writeFile(join(folder, 'one'), 'again');
    const clash = { ...at('one'), to: join(folder, 'two'), noReplace: true };
    assert.equal((await failureOf((done) => files.rename(clash, done))).details.reason, 'FILE_EXISTS');
    const made = await answerOf(files.makeDir.bind(files), { ...at('x/y'), parents: true });
    assert.equal(made.created, true);
    const again = await answerOf(files.makeDir.bind(files), { ...at('x/y'), parents: true });
    assert.equal(again.created, false);
    const full = await failureOf((done) => files.remove(at('x'), done));
    assert.equal(full.details.reason, 'DIRECTORY_NOT_EMPTY');
    const { removed } = await answerOf(files.remove.bind(files), { ...at('x'), recursive: true });
    assert.equal(Number(removed), 2);
  });

  it('carries a directory as a tar stream, both ways', async () => {
    const archive = pack();
    archive.entry({ name: 'd', type: 'directory' });
    archive.entry({ name: 'd/a.txt' }, 'hello');
    archive.finalize();
    const answer = await new Promise<{ entries: number; bytes: number }>((resolve, reject) => {
      const stream = files.writeTar((error, response) =>
        error || !response ? reject(error) : resolve(response),
      );
      stream.write({ header: { ...at('tar'), parents: true } });
      archive.on('data', (chunk: unknown) => stream.write({ chunk: chunk as Buffer }));
      archive.on('end', () => stream.end({ end: {} }));
    });
    assert.equal(Number(answer.entries), 2);
    assert.equal(await readFile(join(folder, 'tar/d/a.txt'), 'utf8'), 'hello');

    const reader = extract();
    const names: string[] = [];
    reader.on('entry', (header, stream, next) => {
      names.push(header.name.replace(/\/$/, ''));
      stream.resume();
      stream.on('end', () => next(null));
    });
    const finished = once(reader, 'finish');
    for await (const message of files.readTar(at('tar'))) {
      if (message.chunk) reader.write(message.chunk);
      if (message.end) reader.end(Buffer.alloc(0));
    }
    await finished;
    assert.deepEqual(names.filter((name) => name !== '' && name !== '.').sort(), ['d', 'd/a.txt']);
  });

  it('watches a directory: the headers say that the watch is on', async () => {
    await answerOf(files.makeDir.bind(files), at('watched'));
    const stream = files.watchDir({ ...at('watched'), recursive: true });
    stream.on('error', () => {});
    const events: WatchDirResponse__Output[] = [];
    stream.on('data', (event: WatchDirResponse__Output) => events.push(event));
    await once(stream, 'metadata');
    await writeFile(join(folder, 'watched/new'), 'x');
    const seen = (type: string) => events.some((event) => event.type === type && event.path === 'new');
    const isTold = () => seen('FILE_EVENT_TYPE_CREATED') && seen('FILE_EVENT_TYPE_MODIFIED');
    await until(isTold, 'what was made is told');
    await rm(join(folder, 'watched/new'));
    await until(() => seen('FILE_EVENT_TYPE_DELETED'), 'what was removed is told');
    const session = allocator.sessions.at(-1);
    stream.cancel();
    await until(() => session?.closed === true, 'the watch is over');
  });

  it('names what is wrong, by field', async () => {
    const bad: readonly [object, string][] = [
      [{ sandboxId, path: '' }, 'path'],
      [{ sandboxId: '', path: '/' }, 'sandbox_id'],
      [{ sandboxId, path: 'a', pathBytes: Buffer.from('a') }, 'path_bytes'],
      [{ sandboxId, path: 'x'.repeat(4_096) }, 'path'],
      [{ sandboxId, path: 'a\0b' }, 'path'],
      [{ sandboxId, path: 'a', cwd: 'relative' }, 'cwd'],
      [{ sandboxId, path: 'a', user: 'u'.repeat(200) }, 'user'],
    ];
    for (const [request, field] of bad) {
      const failure = await failureOf((done) => files.stat(request, done));
      assert.equal(failure.status, 'INVALID_ARGUMENT');
      assert.deepEqual(
        failure.details.violations.map((violation) => violation.field),
        [field],
      );
    }
    const page = await failureOf((done) =>
      files.listDir({ ...at('.'), pageSize: 1_001, pageToken: 'not base64 url!' }, done),
    );
    assert.deepEqual(
      page.details.violations.map((violation) => violation.field),
      ['page_size', 'page_token'],
    );
    const change = await failureOf((done) => files.change(at('.'), done));
    assert.equal(change.details.violations[0]?.field, 'mode');
    const rename = await failureOf((done) => files.rename(at('.'), done));
    assert.equal(rename.details.violations[0]?.field, 'to');
    const offset = await streamFailure(files.readFile({ ...at('.'), offset: -1 }));
    assert.equal(offset.details.violations[0]?.field, 'offset');
  });

  it('tells what the sandbox refuses by its reason', async () => {
    await writeFile(join(folder, 'plain'), '');
    const reasons: readonly [string, string][] = [
      ['missing', 'FILE_NOT_FOUND'],
      ['plain/below', 'NOT_A_DIRECTORY'],
      ['.', 'IS_A_DIRECTORY'],
    ];
    for (const [name, reason] of reasons) {
      const failure = await streamFailure(files.readFile(at(name)));
      assert.equal(failure.details.reason, reason);
    }
    const device = await streamFailure(files.readFile({ sandboxId, path: '/dev/null', user: '0', cwd: '/' }));
    assert.equal(device.details.reason, 'NOT_REGULAR');
    const nobody = await failureOf((done) => files.stat({ ...at('.'), user: 'no-such-user' }, done));
    assert.equal(nobody.details.reason, 'USER_UNKNOWN');
    assert.equal(nobody.details.violations[0]?.field, 'user');
  });

  it('an upload begins with its header, has one, and says that it is whole', async () => {
    const first = await failureOf((done) => {
      const stream = files.writeFile(done);
      stream.write({ chunk: Buffer.from('x') });
    });
    assert.equal(first.details.violations[0]?.field, 'header');
    const second = await failureOf((done) => {
      const stream = files.writeFile(done);
      stream.write({ header: at('twice') });
      stream.write({ header: at('twice') });
    });
    assert.equal(second.details.violations[0]?.field, 'header');
    const none = await failureOf((done) => void files.writeFile(done).end());
    assert.equal(none.details.violations[0]?.field, 'header');
    const cut = await failureOf((done) => {
      const stream = files.writeFile(done);
      stream.write({ header: at('twice') });
      stream.end({ chunk: Buffer.from('half of it') });
    });
    assert.equal(cut.details.violations[0]?.field, 'end');
    assert.equal((await readdir(folder)).includes('twice'), false);
  });

  it('reading, writing and changing use the sandbox; looking does not', async () => {
    await writeFile(join(folder, 'used'), 'x');
    const usesOf = async (act: () => Promise<unknown>) => {
      await act();
      return allocator.sessions.at(-1)?.uses ?? 0;
    };
    assert.equal(await usesOf(() => answerOf(files.stat.bind(files), at('used'))), 0);
    assert.equal(await usesOf(() => answerOf(files.listDir.bind(files), at('.'))), 0);
    assert.ok((await usesOf(() => download(files, at('used')))) > 0);
    assert.ok((await usesOf(() => upload(files, at('used'), [Buffer.from('y')]))) > 0);
    assert.ok((await usesOf(() => answerOf(files.remove.bind(files), at('used')))) > 0);
    await until(() => allocator.sessions.every((session) => session.closed), 'every session is closed');
  });

  it('a guest that dies ends what was going on in it, with a clear error', async () => {
    await using mortal = new RealGuest('once');
    await using lost = await mortal.open();
    allocator.guest = lost;
    try {
      const writing = upload(files, at('lost'), endless());
      const watch = files.watchDir(at('.'));
      const watching = streamFailure(watch);
      await once(watch, 'metadata');
      mortal.child.kill('SIGKILL');
      await assert.rejects(writing, /UNAVAILABLE/);
      assert.equal((await watching).details.reason, 'GUEST_UNREACHABLE');
      const after = await failureOf((done) => files.stat(at('.'), done));
      assert.equal(after.details.reason, 'GUEST_UNREACHABLE');
    } finally {
      allocator.guest = link;
    }
  });
});

function* endless(): Generator<Buffer> {
  for (;;) yield Buffer.alloc(65_536);
}
