import assert, { AssertionError } from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import process from 'node:process';
import { afterEach, beforeEach } from 'node:test';
import { fileURLToPath } from 'node:url';
import { leaveCost } from './cost.ts';
import { noteName } from './hang-watch.ts';

/**
 * Loaded by the runner into the process of each test file, before the file. It notes which tests are in progress, where
 * HangWatch reads it, and leaves word of what the file took. And it keeps a failed `assert.ok` from hanging: to make up a
 * message Node parses the file at the place of the call, which in what is compiled is another one, and it may parse there
 * for ever (nodejs/node#52677).
 */

const runFolder = process.env.TMPDIR ?? '';
const note = join(runFolder, noteName(process.pid));
const tree = fileURLToPath(new URL('../..', import.meta.url));
/** By the name of its source, also where it is compiled. */
const file = relative(tree, process.argv[1] ?? '').replace(/\.js$/, '.ts');
const inProgress: string[] = [];

function writeNote(): void {
  writeFileSync(note, `${file}: ${inProgress.join(' > ') || 'outside its tests'}`);
}

beforeEach((context) => {
  inProgress.push(context.name);
  writeNote();
});

afterEach((context) => {
  const index = inProgress.lastIndexOf(context.name);
  if (index >= 0) inProgress.splice(index, 1);
  writeNote();
});

writeNote();
process.on('exit', () => {
  rmSync(note, { force: true });
  leaveCost(runFolder, file);
});

const ok: (value: unknown, message?: string | Error) => void = assert.ok;
Object.assign(assert, {
  ok(value: unknown, message?: string | Error): void {
    if (value || message !== undefined) ok(value, message);
    else throw falsy(value);
  },
});

function falsy(value: unknown): AssertionError {
  const message = `the value is falsy: ${String(value)}`;
  return new AssertionError({
    message,
    actual: value,
    expected: true,
    operator: '==',
    stackStartFn: assert.ok,
  });
}
