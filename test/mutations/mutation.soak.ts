import assert from 'node:assert/strict';
import { test } from 'node:test';
import { packageRoot } from '../../src/package-root.ts';
import { mutants } from './mutants.ts';
import { MutatedPackage } from './mutated-package.ts';
import { mutationsAreNoticed } from './mutation.ts';

/** T25, the slow part: guards whose tests wait, and the tests of all of them with every guard in its place. */

await mutationsAreNoticed('soak');

test('T25 with nothing removed, every one of these tests passes', async () => {
  using copy = await MutatedPackage.copy(packageRoot());
  for (const mutant of mutants) {
    const { failed, passed, skipped, hung, output } = await copy.tryOut(mutant, null);
    assert.deepEqual([failed, hung], [[], false], output.slice(-4_000));
    assert.notDeepEqual([...passed, ...skipped], [], `no test of ${mutant.tests} is named ${mutant.names}`);
  }
});
