import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Reaper } from '../../src/allocator/reaper.ts';
import { SystemClock } from '../../src/domain/clock.ts';
import { SilentLog } from '../support/silent-log.ts';

test('D20 a reaping pass ends though a whole batch of candidates never leaves the list', async () => {
  const due = Array.from({ length: 100 }, (_, index) => ({ id: `candidate-${index}`, incarnation: 1 }));
  let looks = 0;
  const reaper = new Reaper({
    store: {
      due: async () => {
        looks += 1;
        if (looks > 5) throw new Error('asked again and again for what it cannot end');
        return due;
      },
      expire: async () => ({ kind: 'not_due', remainingMs: 1_000 }),
      healIndexes: async () => ({ readded: 0, dropped: 0 }),
    },
    clock: new SystemClock(),
    observer: { sandboxEnded: () => {}, indexHealed: () => {} },
    log: new SilentLog(),
    onEnding: () => {},
  });
  await reaper.pass();
  assert.equal(looks, 1);
});
