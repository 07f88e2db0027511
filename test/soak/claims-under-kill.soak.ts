import { test } from 'node:test';
import { claimsUnderKill } from '../faults/claims-under-kill.ts';

/** T1 and R1 with the figures of INVARIANTS.md: 10,000 claims without faults, then a minute with kills. */

test('T1 R1 10,000 claims of 32 clients over 4 allocators, and then over 30 kills', (context) =>
  claimsUnderKill(context, { allocators: 4, clients: 32, quietClaims: 10_000, kills: 30 }));
