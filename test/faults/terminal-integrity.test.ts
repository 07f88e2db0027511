import { test } from 'node:test';
import { requirement } from '../support/requirements.ts';
import { terminalsKeepEveryByte } from './terminal-integrity.ts';

/** T17, small: `npm run test:soak terminal-integrity` has 50 terminals of 10 MiB and 200 cuts. */

const { skip } = await requirement('bubblewrap');

test(
  'T17 I12 I13 terminals over connections that are cut again and again lose no byte and leave no process',
  {
    skip,
  },
  (context) => terminalsKeepEveryByte(context, { terminals: 6, bytesEach: 600_000, cuts: 6, perSandbox: 3 }),
);
