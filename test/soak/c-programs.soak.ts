import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { buildFuzzer, buildUnitTest, hasClang, unitTestNames } from '../../guest/build-test.mjs';
import { runProgram } from '../guest/run-program.ts';

const fuzzSeconds = 60;

/** Beyond `test/guest/c-programs.test.ts`, which has the same programs under the sanitizers of the host's compiler. */
describe('the C parts of the guest', () => {
  for (const name of unitTestNames) {
    test(`${name} holds, optimised and without sanitizers`, () =>
      runProgram(buildUnitTest(name, { sanitized: false }), []));
  }

  test('R5 coverage-guided fuzzing of frames and payloads breaks nothing', (context) => {
    if (!hasClang()) return context.skip('needs clang');
    const folder = mkdtempSync(join(tmpdir(), 'warmpool-fuzz-'));
    try {
      const options = [
        `-max_total_time=${fuzzSeconds}`,
        '-max_len=4096',
        '-verbosity=0',
        '-print_final_stats=0',
      ];
      const path = buildFuzzer({ libFuzzer: true });
      runProgram(path, [...options, `-artifact_prefix=${folder}/`], (fuzzSeconds + 60) * 1_000);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
