import { test } from 'node:test';
import { terminalsKeepEveryByte } from '../faults/terminal-integrity.ts';

/** T17 with the figures of INVARIANTS.md. A sandbox keeps 8 MiB of replay in all, and each of these asks for one. */

test('T17 I12 I13 50 terminals of 10 MiB, 200 cuts: not a byte is lost', (context) =>
  terminalsKeepEveryByte(context, { terminals: 50, bytesEach: 10 * 1_048_576, cuts: 200, perSandbox: 5 }));
