import { test } from 'node:test';
import { everythingAtOnce } from '../faults/everything-at-once.ts';
import { pickSeed } from '../support/random.ts';

/**
 * T26 and R2: `WARMPOOL_TEST_SEEDS` seeds (20), each with `WARMPOOL_TEST_FAULTS` faults (15), from WARMPOOL_SEED on if that
 * is set. A seed takes a minute.
 */

const seeds = Number(process.env.WARMPOOL_TEST_SEEDS ?? 20);
const faults = Number(process.env.WARMPOOL_TEST_FAULTS ?? 15);
const first = pickSeed();
/** Several processes in one role each; every third run has both roles in each process. */
const split = ['allocator', 'allocator', 'node', 'node'] as const;
const whole = ['all', 'all', 'all'] as const;

for (let index = 0; index < seeds; index += 1) {
  const roles = index % 3 === 2 ? whole : split;
  test(`T26 R2 I1 I6 ${roles.join(', ')} and Redis are killed amid everything: run ${index + 1} of ${seeds}`, (context) =>
    everythingAtOnce(context, first + index, { roles, clients: 8, faults }));
}
