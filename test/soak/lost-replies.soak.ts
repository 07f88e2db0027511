import { test } from 'node:test';
import { lostRepliesLoseNothing } from '../faults/lost-replies.ts';

/** T2 with the figures of INVARIANTS.md. */

test('T2 D1 I1 I2 with replies cut off, 5,000 claims take 5,000 sandboxes', (context) =>
  lostRepliesLoseNothing(context, { claims: 5_000, clients: 32 }));
