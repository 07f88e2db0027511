import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatDuration, parseDuration } from '../../src/cli/duration.ts';
import { printable, printableJson } from '../../src/cli/printable.ts';
import { formatTable } from '../../src/cli/table.ts';

test('durations read as people write them', () => {
  const known = {
    '90s': 90_000,
    '5m': 300_000,
    '1h30m': 5_400_000,
    '250ms': 250,
    '7d': 604_800_000,
    '0s': 0,
  };
  for (const [text, durationMs] of Object.entries(known)) assert.equal(parseDuration(text), durationMs);
  for (const text of [
    '',
    '5',
    'm',
    '-5s',
    '5s1h',
    '1.5h',
    '5 m',
    '5M',
    '1h1h',
    'Infinity',
    `${'9'.repeat(20)}s`,
  ]) {
    assert.equal(parseDuration(text), null, text);
  }
});

test('durations print with their two biggest units', () => {
  const known = { 0: '0ms', 250: '250ms', 12999: '12s', 299000: '4m59s', 5400000: '1h30m', 3605000: '1h' };
  for (const [durationMs, text] of Object.entries(known))
    assert.equal(formatDuration(Number(durationMs)), text);
  fc.assert(
    fc.property(fc.nat(10 ** 9), (durationMs) => {
      const read = parseDuration(formatDuration(durationMs));
      assert.ok(read !== null && read <= durationMs && read >= durationMs - 3_600_000);
    }),
    { numRuns: 300 },
  );
});

test('A16 whatever a text holds, what is printed holds nothing that a terminal acts on', () => {
  const acting = /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/u;
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      assert.doesNotMatch(printable(text), acting);
      assert.doesNotMatch(printableJson({ [text]: text }, 0), acting);
      assert.deepEqual(
        JSON.parse(printableJson({ [text]: text })),
        JSON.parse(JSON.stringify({ [text]: text })),
      );
      assert.equal(formatTable([{ title: 'T', cell: () => text }], [1]).split('\n').length, 3);
    }),
    { numRuns: 300 },
  );
  assert.equal(printable('a\r\nb\tc\u001b[31md'), 'a b c[31md');
});

test('tables align by characters, not by bytes, and show empty cells', () => {
  const columns = [
    { title: 'NAME', cell: (row: string[]) => row[0] ?? '' },
    { title: 'N', cell: (row: string[]) => row[1] ?? '', paint: (cell: string) => `<${cell}>` },
    { title: 'LAST', cell: (row: string[]) => row[2] ?? '' },
  ];
  const rows = [
    ['größe', '1', 'x'],
    ['😀', '', ''],
  ];
  assert.equal(formatTable(columns, rows), 'NAME   N  LAST\ngröße  <1  >x\n😀      <-  >-\n');
});
