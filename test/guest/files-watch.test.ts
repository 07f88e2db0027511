import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { encodeCredit } from '../../protocol/control-messages.ts';
import { parseWatchRecord, type WatchRecord } from '../../protocol/file-answers.ts';
import { RecordReader } from '../../protocol/record-reader.ts';
import { parsed } from '../support/parsed.ts';
import { until } from '../support/until.ts';
import { type FileCall, FileGuest } from './file-driver.ts';

const rootOnly = { skip: process.getuid?.() === 0 ? false : 'needs root' };

describe('watching files', () => {
  let guest: FileGuest;
  let folder: string;
  let count = 0;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'warmpool-files-watch-'));
    chmodSync(folder, 0o755);
    guest = await FileGuest.start();
  });
  after(async () => {
    await guest[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  function room(): string {
    const path = join(folder, `room-${count++}`);
    mkdirSync(path);
    return path;
  }

  /** Makes a last change and waits until it is told, so that everything before it has been. */
  async function toldUntil(call: FileCall<never>, path: string): Promise<string[]> {
    const mark = `mark-${count++}`;
    mkdirSync(join(path, mark));
    const marked = `created ${mark} directory`;
    await isTold(call, marked);
    return told(call).filter((line) => !line.includes('mark-'));
  }

  test('every change is told once, with what it is about', async () => {
    const path = room();
    writeFileSync(join(path, 'old'), '');
    const call = guest.watch({ path });
    await call.ack;
    // Without content: what is open between a write and its close for too long would be told twice.
    writeFileSync(join(path, 'new'), '');
    mkdirSync(join(path, 'directory'));
    symlinkSync('new', join(path, 'link'));
    spawnSync('mkfifo', [join(path, 'fifo')]);
    chmodSync(join(path, 'old'), 0o600);
    renameSync(join(path, 'old'), join(path, 'renamed'));
    unlinkSync(join(path, 'renamed'));
    rmSync(join(path, 'directory'), { recursive: true });
    const lines = await toldUntil(call, path);
    // What a name is can only be asked while it is there.
    const expected = [
      'created new file',
      'modified new',
      'created directory directory',
      'created link symlink',
      'created fifo fifo',
      'attributes old',
      'deleted old',
      'created renamed',
      'deleted renamed',
      'deleted directory directory',
    ];
    assert.deepEqual(
      lines.map((line) => line.replace(/^(created renamed).*/, '$1')),
      expected,
    );
    await call.abandon();
  });

  test('a file that stays open is told of every 100 ms at most, and when it is closed', async () => {
    const path = room();
    const call = guest.watch({ path });
    await call.ack;
    const fd = openSync(join(path, 'log'), 'a');
    const startMs = performance.now();
    const modified = () => told(call).filter((line) => line === 'modified log').length;
    await until(
      () => writeSync(fd, 'line\n') > 0 && modified() >= 3,
      () => told(call).join(),
    );
    assert.ok(performance.now() - startMs >= 250, 'three times took three pauses');
    closeSync(fd);
    const before = modified();
    await until(() => modified() > before, 'another change');
    await call.abandon();
  });

  test('a replaced file is told without the names it had on the way', async () => {
    const path = room();
    writeFileSync(join(path, 'file'), 'old');
    const call = guest.watch({ path });
    await call.ack;
    await guest.write({ path: join(path, 'file') }).sendAll('new');
    await guest.write({ path: join(path, 'other') }).sendAll('new');
    assert.deepEqual(await toldUntil(call, path), ['created file file', 'created other file']);
    await call.abandon();
  });

  test('only what is watched is told: no subdirectories unless asked', async () => {
    const path = room();
    mkdirSync(join(path, 'sub'));
    const flat = guest.watch({ path });
    const deep = guest.watch({ path, recursive: true });
    await Promise.all([flat.ack, deep.ack]);
    writeFileSync(join(path, 'sub', 'file'), '');
    assert.deepEqual(await toldUntil(flat, path), []);
    assert.deepEqual(await toldUntil(deep, path), ['created sub/file file', 'modified sub/file']);
    await Promise.all([flat.abandon(), deep.abandon()]);
  });

  test('directories that appear later are watched, and what was in them by then is told once', async () => {
    const path = room();
    const call = guest.watch({ path, recursive: true });
    await call.ack;
    for (let round = 0; round < 30; round += 1) {
      mkdirSync(join(path, `${round}/b/c`), { recursive: true });
      writeFileSync(join(path, `${round}/b/c/file`), '');
      writeFileSync(join(path, `${round}/b/file`), '');
    }
    const lines = await toldUntil(call, path);
    const created = lines.filter((line) => line.startsWith('created'));
    const expected = Array.from({ length: 30 }, (_, round) => [
      `created ${round} directory`,
      `created ${round}/b directory`,
      `created ${round}/b/c directory`,
      `created ${round}/b/c/file file`,
      `created ${round}/b/file file`,
    ]).flat();
    assert.deepEqual(created.sort(), expected.sort());
    await call.abandon();
  });

  test('a directory that is moved is told and watched under its new name, with what is in it', async () => {
    const path = room();
    mkdirSync(join(path, 'a/b'), { recursive: true });
    writeFileSync(join(path, 'a/b/file'), '');
    const elsewhere = room();
    const call = guest.watch({ path, recursive: true });
    await call.ack;
    renameSync(join(path, 'a'), join(path, 'z'));
    await isTold(call, 'created z/b/file file');
    appendFileSync(join(path, 'z/b/file'), '');
    await isTold(call, 'modified z/b/file');
    renameSync(join(path, 'z'), join(elsewhere, 'gone'));
    await isTold(call, 'deleted z directory');
    appendFileSync(join(elsewhere, 'gone/b/file'), 'y');
    assert.deepEqual(await toldUntil(call, path), [
      'deleted a directory',
      'created z directory',
      'created z/b directory',
      'created z/b/file file',
      'modified z/b/file',
      'deleted z directory',
    ]);
    await call.abandon();
  });

  test('one file can be watched; its end ends the watch', async () => {
    const path = join(room(), 'file');
    writeFileSync(path, '');
    const call = guest.watch({ path });
    await call.ack;
    appendFileSync(path, 'x');
    await isTold(call, 'modified ');
    unlinkSync(path);
    assert.equal(await call.refusal(), 'not_found');
    assert.equal(told(call).at(-1), 'deleted  file');
  });

  test('a watch ends with what it watches: removed, moved, or replaced', async () => {
    for (const end of [
      (path: string) => rmSync(path, { recursive: true }),
      (path: string) => renameSync(path, `${path}-moved`),
      (path: string) => spawnSync('mv', ['-T', path, `${path}-moved`]),
    ]) {
      const path = room();
      const call = guest.watch({ path, recursive: true });
      await call.ack;
      end(path);
      assert.equal(await call.refusal(), 'not_found');
      assert.equal(told(call).at(-1), 'deleted  directory');
    }
    const file = join(room(), 'file');
    writeFileSync(file, '');
    const call = guest.watch({ path: file });
    await call.ack;
    await guest.write({ path: file }).sendAll('another file of that name');
    assert.equal(await call.refusal(), 'not_found');
  });

  test('lost events are told as overflow, and the watch goes on, also of directories made meanwhile', async (context) => {
    const queued = Number(readFileSync('/proc/sys/fs/inotify/max_queued_events', 'utf8'));
    if (queued > 100_000) return context.skip('the queue of this kernel is too long to fill');
    const path = room();
    await using slow = await FileGuest.start();
    // Nothing is granted before the queue has run over.
    let held = 0;
    let holding = true;
    const reader = new RecordReader(parseWatchRecord);
    const lines: string[] = [];
    let overflows = 0;
    let lateOnes = 0;
    const call = slow.watch(
      { path, recursive: true, window: 1024 },
      {
        onOutput: (bytes) => {
          for (const line of linesOf(parsed(reader.push(Uint8Array.from(bytes))))) {
            lines.push(line);
            if (line === 'overflow') overflows += 1;
            if (/^created late\/file-\d+ file$/.test(line)) lateOnes += 1;
          }
          if (holding) held += bytes.length;
          return !holding;
        },
      },
    );
    await call.ack;
    const script = `for i in $(seq ${Math.ceil(queued / 1000)}); do seq -f "$i-%g-with-a-name-of-some-length" 1000 | xargs touch; done; mkdir late`;
    assert.equal(spawnSync('sh', ['-c', script], { cwd: path }).status, 0);
    holding = false;
    slow.send('Credit', call.channel, encodeCredit(held));
    const seen = () => `${lines.length} lines, ending with ${lines.slice(-3).join(', ')}`;
    await until(() => overflows > 0, seen);
    // It begins anew behind that word, and does not tell what it finds then: the first files may be among that.
    await until(() => {
      writeFileSync(join(path, 'late', `file-${count++}`), '');
      return lateOnes > 0;
    }, seen);
    await call.abandon();
  });

  test('more directories than the bound are limit_exceeded', async () => {
    const path = room();
    const script = 'for i in $(seq 9); do mkdir $i; (cd $i; seq 1000 | xargs mkdir); done';
    assert.equal(spawnSync('sh', ['-c', script], { cwd: path }).status, 0);
    assert.equal(await guest.watch({ path, recursive: true }).refusal(), 'limit_exceeded');
    const flat = guest.watch({ path });
    await flat.ack;
    await flat.abandon();
  });

  test('what may not be read below is passed over', rootOnly, async () => {
    const path = room();
    mkdirSync(join(path, 'closed'), { mode: 0o700 });
    mkdirSync(join(path, 'open'));
    const call = guest.watch({ path, recursive: true, user: 'nobody' });
    await call.ack;
    writeFileSync(join(path, 'closed', 'file'), '');
    writeFileSync(join(path, 'open', 'file'), '');
    assert.deepEqual(await toldUntil(call, path), ['created open/file file', 'modified open/file']);
    await call.abandon();
  });
});

async function isTold(call: FileCall<never>, line: string): Promise<void> {
  await until(
    () => told(call).includes(line),
    () => `no "${line}" among: ${told(call).join(', ')}`,
  );
}

function told(call: FileCall<never>): string[] {
  return linesOf(call.records(parseWatchRecord));
}

function linesOf(records: readonly WatchRecord[]): string[] {
  return records.map((record) => {
    if ('overflow' in record) return 'overflow';
    const kind = record.kind === undefined ? '' : ` ${record.kind}`;
    return `${record.event} ${String(record.path)}${kind}`;
  });
}
