import { test } from 'node:test';
import { requirement } from '../support/requirements.ts';
import { lostRepliesLoseNothing } from './lost-replies.ts';

/** T2, small: `npm run test:soak lost-replies` has the 5,000 claims of INVARIANTS.md. */

const noRedis = (await requirement('redis')).skip;
const noBubblewrap = (await requirement('bubblewrap')).skip;

test(
  'T2 D1 I1 I2 with replies of the store and of gRPC cut off, as many are taken as are answered',
  {
    skip: noRedis || noBubblewrap,
  },
  (context) => lostRepliesLoseNothing(context, { claims: 500, clients: 16 }),
);
