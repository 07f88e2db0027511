import { test } from 'node:test';
import { requirement } from '../support/requirements.ts';
import { claimsUnderKill } from './claims-under-kill.ts';

/**
 * T1 and R1 with real processes, real Redis and gRPC, the sandboxes being records only. Smaller than in INVARIANTS.md, for
 * the suite's time: `npm run test:soak claims-under-kill` has its figures.
 */

const noRedis = (await requirement('redis')).skip;
const noBubblewrap = (await requirement('bubblewrap')).skip;

test(
  'T1 R1 I1 I2 allocators that are killed amid claims give nothing twice and lose nothing',
  {
    skip: noRedis || noBubblewrap,
  },
  (context) => claimsUnderKill(context, { allocators: 4, clients: 32, quietClaims: 800, kills: 2 }),
);
