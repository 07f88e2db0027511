import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { packageRoot } from '../../src/package-root.ts';
import { absentGuards, mutants } from './mutants.ts';
import { mutate } from './mutated-package.ts';
import { mutationsAreNoticed } from './mutation.ts';

/**
 * T25: the guards whose tests are fast. Those of the slow ones, and that all of these tests pass while nothing is taken
 * out, are `npm run test:soak mutation`.
 */

await mutationsAreNoticed('every run');

test('T25 every guard of the list has its mutant, and every mutant finds the text that it replaces', () => {
  for (const mutant of mutants) {
    const source = readFileSync(join(packageRoot(), mutant.file), 'utf8');
    assert.notEqual(mutate(mutant, source), source);
  }
  const numbers = [...mutants, ...absentGuards].map(({ id }) => Number(/^M(\d+)/.exec(id)?.[1]));
  const missing = Array.from({ length: 14 }, (_, index) => index + 1).filter(
    (each) => !numbers.includes(each),
  );
  assert.deepEqual(missing, []);
});

for (const { id, guard, why, folder } of absentGuards) {
  test(`T25 ${id} has no mutant as long as ${why}: ${guard}`, () => {
    assert.ok(!existsSync(join(packageRoot(), folder)), `${id} needs a mutant now: there is ${folder}`);
  });
}

test('T25 a mutant whose text is gone, or is there twice, is an error', () => {
  const mutant = { ...mutants[0], id: 'M0', file: 'x.ts', text: 'guard', replacement: '' };
  for (const source of ['nothing', 'guard and guard'])
    assert.throws(
      () => mutate(mutant as (typeof mutants)[number], source),
      /has [02] times what the mutant replaces/,
    );
});
