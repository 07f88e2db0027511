import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forwardKeys } from '../../src/cli/attached-terminal.ts';
import { formatBytes } from '../../src/cli/bytes.ts';
import { parsePlace, targetIn } from '../../src/cli/copy-place.ts';
import { EscapeKeys } from '../../src/cli/escape-keys.ts';
import { progressLine } from '../../src/cli/progress-bar.ts';

test('a tilde means something at the beginning of a line only, and only before a key of ours', () => {
  const cases: readonly [typed: string, sent: string, wish: string | null][] = [
    ['ls ~.\r', 'ls ~.\r', null],
    ['~.', '', 'hang up'],
    ['ls\r~.', 'ls\r', 'hang up'],
    ['ls\r~d', 'ls\r', 'leave'],
    ['~?', '', 'help'],
    ['~~', '~', null],
    ['~~.', '~.', null],
    ['~/bin\r', '~/bin\r', null],
    ['~\r~.', '~\r', 'hang up'],
    ['~\r', '~\r', null],
    ['~', '', null],
  ];
  for (const [typed, sent, wish] of cases) {
    const whole = new EscapeKeys().take(Buffer.from(typed));
    assert.deepEqual([String(Buffer.from(whole.bytes)), whole.wish], [sent, wish], typed);
    // Key by key it is the same.
    const keys = new EscapeKeys();
    const pieces = [...typed].map((key) => keys.take(Buffer.from(key)));
    assert.equal(pieces.map(({ bytes }) => Buffer.from(bytes)).join(''), sent, typed);
    assert.equal(pieces.at(-1)?.wish, wish, typed);
  }
});

test('the keys for this side are heard while the other side takes nothing; only a long paste waits', () => {
  const done: string[] = [];
  let type: (typed: Buffer) => void = () => {};
  const local = {
    isTerminal: true,
    onKeys: (listener: (typed: Buffer) => void) => {
      type = listener;
      return () => {};
    },
    pauseKeys: () => void done.push('pause'),
    resumeKeys: () => void done.push('resume'),
    say: () => {},
  };
  const away = { write: () => new Promise<void>(() => {}), end: () => {} };
  const leaving = { hangUp: () => void done.push('hang up'), leaveRunning: () => {} };
  forwardKeys(local, away, leaving);
  type(Buffer.from('ls\r'));
  type(Buffer.from('~.'));
  assert.deepEqual(done, ['hang up']);
  type(Buffer.alloc(65_536, 'x'));
  assert.deepEqual(done, ['hang up', 'pause']);
});

test('a place is in a sandbox when it begins with an id', () => {
  const id = '07abcdefghijklmnopqr';
  assert.deepEqual(parsePlace(`${id}:/etc`), { kind: 'sandbox', id, path: '/etc' });
  assert.deepEqual(parsePlace(`${id}:`), { kind: 'sandbox', id, path: '.' });
  assert.deepEqual(parsePlace(`./${id}:x`), { kind: 'local', path: `./${id}:x` });
  assert.deepEqual(parsePlace('notes:today'), { kind: 'local', path: 'notes:today' });
});

test('what goes into a directory keeps its name, and the content of one keeps its names', () => {
  assert.equal(targetIn('/tmp', 'a/b'), '/tmp/b');
  assert.equal(targetIn('/tmp/', 'a/b/'), '/tmp/b');
  assert.equal(targetIn('/tmp', 'a/.'), '/tmp');
  assert.equal(targetIn('/tmp', '..'), '/tmp');
  assert.equal(targetIn('/tmp', '/'), '/tmp');
});

test('a progress line fits the terminal, and shows no more than text', () => {
  const progress = { bytes: 420_000_000, bytesTotal: 1_000_000_000, name: 'evil\u001b[2J.bin' };
  assert.equal(progressLine(progress, 2, 200), ' 42%  [########------------]  420 MB  210 MB/s  evil[2J.bin');
  assert.equal(progressLine(progress, 2, 20).length, 19);
  assert.equal(progressLine({ bytes: 0, name: 'x' }, 0, 80), '0 B  0 B/s  x');
});

test('bytes are said with three digits at most', () => {
  const cases = {
    0: '0 B',
    999: '999 B',
    1000: '1.0 kB',
    9949: '9.9 kB',
    9951: '10 kB',
    999499: '999 kB',
    999500: '1.0 MB',
  };
  for (const [bytes, text] of Object.entries(cases)) assert.equal(formatBytes(Number(bytes)), text);
});
