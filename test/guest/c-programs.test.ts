import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { buildFuzzer, buildUnitTest, hasClang, unitTestNames } from '../../guest/build-test.mjs';

/** Bounded on purpose: the suite has to stay short, and a longer search can be started by hand. */
const fuzzSeconds = 3;
const programTimeoutMs = 60_000;

describe('the C parts of the guest', () => {
  for (const name of unitTestNames) {
    test(`${name} holds`, () => runProgram(buildUnitTest(name, { sanitized: false }), []));
    test(`${name} holds under the address and undefined-behaviour sanitizers`, () =>
      runProgram(buildUnitTest(name, { sanitized: true }), []));
  }

  test('R5 mutated frames and payloads break nothing (seeded loop under sanitizers)', (context) => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    context.diagnostic(`seed ${seed}`);
    runProgram(buildFuzzer({ libFuzzer: false }), [String(fuzzSeconds * 1000), String(seed)]);
  });

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
      runProgram(buildFuzzer({ libFuzzer: true }), [...options, `-artifact_prefix=${folder}/`]);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

function runProgram(path: string, args: readonly string[]): void {
  const { status, signal, stdout, stderr } = spawnSync(path, args, {
    encoding: 'utf8',
    timeout: programTimeoutMs,
  });
  assert.equal(status, 0, `${path} ended with ${status ?? signal}:\n${stdout}\n${stderr}`);
}
