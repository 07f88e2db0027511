import { describe, test } from 'node:test';
import { buildFuzzer, buildUnitTest, unitTestNames } from '../../guest/build-test.mjs';
import { runProgram } from './run-program.ts';

/**
 * Bounded on purpose: the suite has to stay short. What only adds to it is in `npm run test:soak c-programs`: the same
 * programs as another compiler's options make them, and a longer search that is guided by coverage. Each needs all sources
 * compiled once more.
 */
const fuzzSeconds = 3;

describe('the C parts of the guest', () => {
  for (const name of unitTestNames) {
    test(`${name} holds under the address and undefined-behaviour sanitizers`, () =>
      runProgram(buildUnitTest(name, { sanitized: true }), []));
  }

  test('R5 mutated frames and payloads break nothing (seeded loop under sanitizers)', (context) => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    context.diagnostic(`seed ${seed}`);
    runProgram(buildFuzzer({ libFuzzer: false }), [String(fuzzSeconds * 1000), String(seed)]);
  });
});
