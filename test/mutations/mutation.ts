import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { packageRoot } from '../../src/package-root.ts';
import { requirement } from '../support/requirements.ts';
import { type Mutant, mutants } from './mutants.ts';
import { MutatedPackage } from './mutated-package.ts';

/** Takes out each guard of a tier, and runs the tests that have to notice. */
export async function mutationsAreNoticed(tier: Mutant['tier']): Promise<void> {
  const { skip } = await requirement('redis');
  describe(`T25 with one guard removed, its tests fail (${tier})`, { skip }, () => {
    let copy: MutatedPackage;
    before(async () => {
      copy = await MutatedPackage.copy(packageRoot());
    });
    after(() => copy[Symbol.dispose]());

    for (const mutant of mutants.filter((each) => each.tier === tier)) {
      test(`T25 ${mutant.id} ${mutant.guard}`, async (context) => {
        const { failed, passed, skipped, hung, output } = await copy.tryOut(mutant, mutant);
        if (failed.length + passed.length === 0 && skipped.length > 0 && !hung) {
          context.skip(`its tests are skipped here: ${skipped.join(', ')}`);
          return;
        }
        const isNoticed = failed.length > 0 || hung;
        assert.ok(
          isNoticed,
          `the mutant survives: ${passed.length} tests pass without the guard\n${output.slice(-4_000)}`,
        );
      });
    }
  });
}
