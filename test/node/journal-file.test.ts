import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { appendFileSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { JournalFile } from '../../src/node/journal-file.ts';
import { packageRoot } from '../../src/package-root.ts';
import { JournalFolder } from '../support/temporary-journal.ts';

function written(path: string, texts: readonly string[]): void {
  const { file } = JournalFile.open(path);
  for (const text of texts) file.append(text);
  file[Symbol.dispose]();
}

function read(path: string): readonly string[] {
  const { file, found } = JournalFile.open(path);
  file[Symbol.dispose]();
  return found.lines.map(({ text }) => text);
}

test('D10 what was appended is read again, and only its user may read it', () => {
  using folder = new JournalFolder();
  const texts = ['one', '', 'zwölf', '{"env":{"KEY":"value"}}', 'x'.repeat(100_000)];
  written(folder.file, texts);
  assert.deepEqual(read(folder.file), texts);
  assert.equal(statSync(folder.file).mode & 0o777, 0o600);
  written(folder.file, ['more']);
  assert.deepEqual(read(folder.file), [...texts, 'more']);
});

test('D10 a tail that is torn at any byte is cut off, and what comes next is whole', () => {
  using folder = new JournalFolder();
  written(folder.file, ['first', 'second', 'the last one']);
  const whole = readFileSync(folder.file);
  const lastStart = whole.lastIndexOf('\n', whole.length - 2) + 1;
  for (let end = lastStart; end < whole.length; end += 1) {
    writeFileSync(folder.file, whole);
    truncateSync(folder.file, end);
    written(folder.file, ['next']);
    assert.deepEqual(read(folder.file), ['first', 'second', 'next'], `torn at byte ${end - lastStart}`);
  }
});

test('D10 a flipped bit costs its own line and no other, and is counted', () => {
  using folder = new JournalFolder();
  written(folder.file, ['first', 'second', 'third']);
  const bytes = readFileSync(folder.file);
  const place = bytes.indexOf('second');
  bytes.writeUInt8(bytes.readUInt8(place) ^ 1, place);
  writeFileSync(folder.file, bytes);
  const { file, found } = JournalFile.open(folder.file);
  file[Symbol.dispose]();
  assert.deepEqual(
    found.lines.map(({ text }) => text),
    ['first', 'third'],
  );
  assert.deepEqual([found.damagedCount, found.tornBytes], [1, 0]);
});

test('D10 any garbage is survived: what is sound is read, what is not is never believed', () => {
  using folder = new JournalFolder();
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 200 }),
      fc.array(fc.string(), { maxLength: 3 }),
      (garbage, texts) => {
        writeFileSync(folder.file, garbage);
        appendFileSync(folder.file, '\n');
        written(folder.file, texts);
        assert.deepEqual(read(folder.file), texts);
      },
    ),
    { numRuns: 200 },
  );
});

test('D10 the file is replaced as a whole, and appending goes on in the new one', () => {
  using folder = new JournalFolder();
  const { file } = JournalFile.open(folder.file);
  for (let count = 0; count < 100; count += 1) file.append(`line ${count}`);
  const sizes = file.replace(['kept', 'kept too']);
  assert.equal(sizes.length, 2);
  assert.equal(file.byteCount, statSync(folder.file).size);
  file.append('after');
  file[Symbol.dispose]();
  assert.deepEqual(read(folder.file), ['kept', 'kept too', 'after']);
  // What a crash left of the next one is not taken for the file.
  writeFileSync(`${folder.file}.new`, 'half of it');
  assert.deepEqual(read(folder.file), ['kept', 'kept too', 'after']);
});

test('D10 nothing is appended after the end, to whatever file has the number then', () => {
  using folder = new JournalFolder();
  const { file } = JournalFile.open(folder.file);
  file[Symbol.dispose]();
  assert.throws(() => file.append('late'));
  file[Symbol.dispose]();
});

/** A file size limit cuts a write short, and then refuses it, exactly as a disk that runs full does. */
test('D10 a disk that runs full in the middle of a line refuses the line and keeps the journal sound', () => {
  using folder = new JournalFolder();
  const script = `
    import { JournalFile } from ${JSON.stringify(join(packageRoot(), 'src/node/journal-file.ts'))};
    const { file } = JournalFile.open(${JSON.stringify(folder.file)});
    let kept = 0;
    const refused = [];
    for (let count = 0; count < 40; count += 1) {
      try { file.append(String(count).padEnd(100, '.')); kept += 1; } catch (error) { refused.push(error.code ?? error.message); }
    }
    try { file.replace(Array.from({ length: 40 }, () => 'x'.repeat(100))); } catch { refused.push('replace'); }
    // What is short enough for the rest still goes in.
    file.append('short');
    console.log(JSON.stringify({ kept, refused: [...new Set(refused)], last: refused.at(-1) }));`;
  const child = spawnSync(
    'sh',
    [
      '-c',
      `trap '' XFSZ; ulimit -f 4; exec "$0" --import tsx --input-type=module -e "$1"`,
      process.execPath,
      script,
    ],
    { cwd: packageRoot(), encoding: 'utf8', env: { ...process.env, TSX_DISABLE_CACHE: '1' } },
  );
  assert.equal(child.status, 0, child.stderr);
  const { kept, refused, last } = JSON.parse(child.stdout) as {
    kept: number;
    refused: string[];
    last: string;
  };
  assert.ok(kept > 5 && kept < 40, `${kept} lines fitted`);
  assert.ok(
    refused.includes('EFBIG') || refused.some((reason) => /part of a line/.test(reason)),
    refused.join(),
  );
  assert.equal(last, 'replace');
  const texts = read(folder.file);
  assert.equal(texts.length, kept + 1);
  assert.equal(texts.at(-1), 'short');
});
