import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  encodeArchiveEnd,
  encodeFileEntry,
  encodeListEnd,
  encodeMkdirEnd,
  encodeRemoveEnd,
  encodeTransferEnd,
  encodeWatchRecord,
} from '../../protocol/file-answers.ts';
import {
  parseFileChange,
  parseFileRead,
  parseFileRename,
  parseFileWrite,
} from '../../protocol/file-requests.ts';
import { messageName, messageTypes } from '../../protocol/message-types.ts';
import type { ParseResult } from '../../protocol/parse-result.ts';
import { encodeRecord } from '../../protocol/record-reader.ts';
import {
  changeFile,
  makeDirectory,
  removeFile,
  renameFile,
  statFile,
} from '../../src/operations/change-files.ts';
import type { FileEntry } from '../../src/operations/file-entry.ts';
import { listFiles } from '../../src/operations/list-files.ts';
import { readFile } from '../../src/operations/read-file.ts';
import { readTar, writeTar } from '../../src/operations/tar.ts';
import { watchFiles } from '../../src/operations/watch-files.ts';
import { writeFile } from '../../src/operations/write-file.ts';
import { WrongAnswerError } from '../../src/operations/wrong-answer-error.ts';
import { refused, ScriptedResponder, settled } from './scripted-responder.ts';

const entry: FileEntry = { name: 'a', kind: 'file', size: 3, mode: 0o644, mtimeMs: 1, uid: 0, gid: 0 };
const entryPayload = sent(encodeFileEntry(entry));
const sum = new Uint8Array(32).fill(7);

function sent<T>(result: ParseResult<T>): T {
  assert.ok('value' in result);
  return result.value;
}

async function joined(bytes: AsyncIterable<Uint8Array>): Promise<string> {
  const pieces: Uint8Array[] = [];
  for await (const piece of bytes) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

describe('a file that is read', () => {
  it('gives its entry, its bytes, and its checksum', async () => {
    const responder = new ScriptedResponder();
    const opening = readFile(responder, {
      path: '/a',
      user: 'u',
      offset: 1,
      sha256: true,
      windowBytes: 9_000,
    });
    const channel = await responder.next();
    assert.deepEqual(sent(parseFileRead(channel.payload)), {
      path: '/a',
      user: 'u',
      offset: 1,
      sha256: true,
      window: 9_000,
    });
    channel.ack(entryPayload);
    const reading = await opening;
    assert.deepEqual(reading.entry, entry);
    channel.output('one');
    channel.output('two');
    channel.end(encodeTransferEnd({ bytes: 6, sha256: sum }));
    assert.equal(await joined(reading.bytes), 'onetwo');
    assert.deepEqual(await reading.end, { bytes: 6, sha256: sum });
  });

  it('is not read on when its reader leaves', async () => {
    const responder = new ScriptedResponder();
    const opening = readFile(responder, { path: 'a' });
    const channel = await responder.next();
    channel.ack(entryPayload);
    const reading = await opening;
    channel.output('x');
    for await (const _ of reading.bytes) break;
    assert.equal(channel.names.at(-1), 'ChannelClose');
    await assert.rejects(reading.end);
  });

  it('can be left while a piece is waited for', async () => {
    const responder = new ScriptedResponder();
    const opening = readFile(responder, { path: 'a' });
    const channel = await responder.next();
    channel.ack(entryPayload);
    const bytes = (await opening).bytes[Symbol.asyncIterator]();
    const waits = bytes.next();
    await bytes.return?.();
    assert.equal((await waits).done, true);
    assert.equal(channel.names.at(-1), 'ChannelClose');
  });

  it('gives what came before an error in the middle, then the error', async () => {
    const responder = new ScriptedResponder();
    const opening = readFile(responder, { path: 'a' });
    const channel = await responder.next();
    channel.ack(entryPayload);
    const reading = await opening;
    channel.output('half');
    channel.refuse('io_error');
    const bytes = reading.bytes[Symbol.asyncIterator]();
    assert.equal(Buffer.from((await bytes.next()).value).toString(), 'half');
    await assert.rejects(bytes.next(), refused('io_error'));
    await assert.rejects(reading.end, refused('io_error'));
  });
});

describe('a file that is written', () => {
  it('is sent as credit comes, and answered with what arrived', async () => {
    const responder = new ScriptedResponder({ input: 4 });
    const asked: number[] = [];
    async function* source() {
      for (const [index, text] of ['abcdef', 'gh', ''].entries()) {
        asked.push(index);
        yield Buffer.from(text);
      }
    }
    const writing = writeFile(responder, { path: 'a', mode: 0o600, exclusive: true }, source());
    const channel = await responder.next();
    assert.deepEqual(sent(parseFileWrite(channel.payload)), { path: 'a', mode: 0o600, exclusive: true });
    await settled();
    assert.deepEqual(asked, [], 'nothing is asked of the source before the file is open');
    channel.ack();
    await settled();
    assert.equal(channel.inputText, 'abcd');
    assert.deepEqual(asked, [0]);
    channel.credit(4);
    await channel.until('InputEof');
    assert.equal(channel.inputText, 'abcdefgh');
    channel.end(encodeTransferEnd({ bytes: 8, sha256: sum }));
    assert.deepEqual(await writing, { bytes: 8, sha256: sum });
  });

  it('takes whole bytes as well', async () => {
    const responder = new ScriptedResponder();
    const writing = writeFile(responder, { path: 'a' }, Buffer.from('whole'));
    const channel = await responder.next();
    channel.ack();
    await channel.until('InputEof');
    assert.equal(channel.inputText, 'whole');
    channel.end(encodeTransferEnd({ bytes: 5, sha256: sum }));
    await writing;
  });

  it('is abandoned when its source fails, with the failure of the source', async () => {
    const responder = new ScriptedResponder();
    async function* source() {
      yield Buffer.from('a');
      throw new Error('the disk of the caller');
    }
    const writing = writeFile(responder, { path: 'a' }, source());
    const channel = await responder.next();
    channel.ack();
    await assert.rejects(writing, /the disk of the caller/);
    assert.deepEqual(channel.names, ['Input', 'ChannelClose']);
  });

  it('leaves its source when the responder refuses the rest, also in the middle of its silence', async () => {
    const responder = new ScriptedResponder();
    let left = false;
    const source: AsyncIterable<Uint8Array> = {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise(() => {}),
        async return() {
          left = true;
          return { done: true, value: undefined };
        },
      }),
    };
    const writing = writeFile(responder, { path: 'a' }, source);
    const channel = await responder.next();
    channel.ack();
    await settled();
    channel.refuse('no_space');
    await assert.rejects(writing, refused('no_space'));
    assert.equal(left, true);
  });

  it('is refused while a piece waits for credit', async () => {
    const responder = new ScriptedResponder({ input: 1 });
    const writing = writeFile(responder, { path: 'a' }, Buffer.from('abc'));
    const channel = await responder.next();
    channel.ack();
    await channel.until('Input');
    channel.refuse('no_space');
    await assert.rejects(writing, refused('no_space'));
  });

  it('is abandoned by an abort', async () => {
    const responder = new ScriptedResponder({ input: 1 });
    const abort = new AbortController();
    const writing = writeFile(responder, { path: 'a' }, Buffer.from('abc'), { signal: abort.signal });
    const channel = await responder.next();
    channel.ack();
    await channel.until('Input');
    abort.abort(new Error('enough'));
    await assert.rejects(writing, /enough/);
    assert.equal(channel.names.at(-1), 'ChannelClose');
  });
});

describe('archives', () => {
  it('come and go as streams', async () => {
    const responder = new ScriptedResponder();
    const opening = readTar(responder, { path: 'd' });
    const out = await responder.next();
    out.ack(entryPayload);
    out.output('tar');
    out.end(encodeArchiveEnd({ entries: 2, bytes: 3 }));
    const reading = await opening;
    assert.equal(await joined(reading.bytes), 'tar');
    assert.deepEqual(await reading.end, { entries: 2, bytes: 3 });

    const writing = writeTar(responder, { path: 'd', parents: true }, Buffer.from('rat'));
    const into = await responder.next();
    into.ack();
    await into.until('InputEof');
    into.end(encodeArchiveEnd({ entries: 1, bytes: 3 }));
    assert.deepEqual(await writing, { entries: 1, bytes: 3 });
  });
});

describe('listings and watches', () => {
  it('give entries wherever frames cut them', async () => {
    const responder = new ScriptedResponder();
    const opening = listFiles(responder, { path: 'd', limit: 3 });
    const channel = await responder.next();
    channel.ack();
    const listing = await opening;
    const names = ['a', 'b', new Uint8Array([0xff, 0xfe])];
    const records = names.map((name) => encodeRecord(sent(encodeFileEntry({ ...entry, name }))));
    for (const byte of Buffer.concat(records)) channel.output(Buffer.from([byte]));
    channel.end(encodeListEnd({ entries: 3, more: true }));
    const listed = [];
    for await (const { name } of listing.entries) listed.push(name);
    assert.deepEqual(listed, names);
    assert.deepEqual(await listing.end, { entries: 3, more: true });
  });

  it('give entries in order to a reader that asks for several at once', async () => {
    const responder = new ScriptedResponder();
    const opening = listFiles(responder, { path: 'd' });
    const channel = await responder.next();
    channel.ack();
    const entries = (await opening).entries[Symbol.asyncIterator]();
    const asked = [entries.next(), entries.next(), entries.next()];
    channel.record(entryPayload);
    channel.record(sent(encodeFileEntry({ ...entry, name: 'b' })));
    channel.end(encodeListEnd({ entries: 2, more: false }));
    const got = await Promise.all(asked);
    assert.deepEqual(
      got.map((each) => (each.done ? null : each.value.name)),
      ['a', 'b', null],
    );
  });

  it('do not believe a record that is cut off, or is none', async () => {
    const responder = new ScriptedResponder();
    const opening = listFiles(responder, { path: 'd' });
    const channel = await responder.next();
    channel.ack();
    channel.output(encodeRecord(entryPayload).subarray(0, 5));
    channel.end(encodeListEnd({ entries: 1, more: false }));
    await assert.rejects(joinedNames((await opening).entries), WrongAnswerError);

    const second = listFiles(responder, { path: 'd' });
    const other = await responder.next();
    other.ack();
    other.record(new Uint8Array([0xc1]));
    await assert.rejects(joinedNames((await second).entries), WrongAnswerError);
    assert.equal(other.names.at(-1), 'ChannelClose');
  });

  it('tell what changes, and that something was missed', async () => {
    const responder = new ScriptedResponder();
    const opening = watchFiles(responder, { path: 'd', recursive: true });
    const channel = await responder.next();
    channel.ack();
    const watch = await opening;
    channel.record(sent(encodeWatchRecord({ path: 'x', event: 'created', kind: 'file' })));
    channel.record(sent(encodeWatchRecord({ path: '', event: 'attributes' })));
    channel.record(sent(encodeWatchRecord({ overflow: true })));
    const events = watch.events[Symbol.asyncIterator]();
    assert.deepEqual((await events.next()).value, { path: 'x', event: 'created', kind: 'file' });
    assert.deepEqual((await events.next()).value, { path: '', event: 'attributes' });
    assert.deepEqual((await events.next()).value, { event: 'overflow' });
    const waits = events.next();
    watch.close();
    assert.equal((await waits).done, true);
    assert.equal(channel.names.at(-1), 'ChannelClose');
  });
});

describe('requests without a stream', () => {
  it('are answered by their End', async () => {
    const responder = new ScriptedResponder();
    const answered = async <T>(asked: Promise<T>, name: string, payload?: Uint8Array): Promise<T> => {
      const channel = await responder.next();
      assert.equal(messageName(channel.type), name);
      channel.end(payload);
      return asked;
    };
    assert.deepEqual(await answered(statFile(responder, { path: 'a' }), 'FileStat', entryPayload), entry);
    const made = makeDirectory(responder, { path: 'd', parents: true });
    assert.equal(await answered(made, 'FileMkdir', encodeMkdirEnd(true)), true);
    await answered(renameFile(responder, { path: 'a', to: 'b', replace: false }), 'FileRename');
    const removed = removeFile(responder, { path: 'd', recursive: true });
    assert.equal(await answered(removed, 'FileRemove', encodeRemoveEnd(12)), 12);
    const change = changeFile(responder, { path: 'a', mtimeMs: 5, owner: 'u:g', follow: false });
    assert.deepEqual(await answered(change, 'FileChange', entryPayload), entry);
    const [, , rename, , changed] = responder.channels.map((channel) => channel.payload);
    assert.ok(rename && changed);
    assert.deepEqual(sent(parseFileRename(rename)), { path: 'a', to: 'b', replace: false });
    assert.deepEqual(sent(parseFileChange(changed)), { path: 'a', mtimeMs: 5, owner: 'u:g', follow: false });
    assert.equal(responder.openChannels, 0);
  });

  it('reject with the refusal, the abort, the loss, and an answer of another kind', async () => {
    const responder = new ScriptedResponder();
    const missing = statFile(responder, { path: 'a' });
    (await responder.next()).refuse('not_found');
    await assert.rejects(missing, refused('not_found'));

    const abort = new AbortController();
    const aborted = removeFile(responder, { path: 'a' }, { signal: abort.signal });
    const channel = await responder.next();
    abort.abort(new Error('enough'));
    await assert.rejects(aborted, /enough/);
    assert.deepEqual(channel.names, ['ChannelClose']);

    const wrong = statFile(responder, { path: 'a' });
    (await responder.next()).end(encodeMkdirEnd(true));
    await assert.rejects(wrong, WrongAnswerError);
    const exit = statFile(responder, { path: 'a' });
    (await responder.next()).frame(messageTypes.ExecExit.code, entryPayload);
    await assert.rejects(exit, WrongAnswerError);

    const lost = statFile(responder, { path: 'a' });
    await responder.next();
    responder.lose();
    await assert.rejects(lost, /the wire was lost/);
  });

  it('refuse a path that no file can have before anybody is asked', async () => {
    const responder = new ScriptedResponder();
    for (const path of ['', 'a\0b', 'x'.repeat(4_096), new Uint8Array(0)]) {
      await assert.rejects(statFile(responder, { path }), refused('invalid_payload'));
    }
    assert.equal(responder.channels.length, 0);
  });
});

async function joinedNames(entries: AsyncIterable<FileEntry>): Promise<string> {
  let names = '';
  for await (const { name } of entries) names += name;
  return names;
}
