import { setImmediate, setTimeout } from 'node:timers/promises';

/**
 * Waits for something that no event tells: turn by turn of the event loop at first, and then with pauses, because what
 * is waited for may need the processor. They grow with what a look costs and with what was waited already, so that
 * looking takes a fifth of the time at most and makes a wait longer by some percent. `what` is what was waited for, or
 * tells what there was instead.
 */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string | (() => string),
  withinMs = 90_000,
): Promise<void> {
  const beganMs = performance.now();
  for (let turn = 0; ; turn += 1) {
    const lookedMs = performance.now();
    if (await condition()) return;
    const nowMs = performance.now();
    const waitedMs = nowMs - beganMs;
    if (waitedMs > withinMs) {
      throw new Error(`waited ${withinMs} ms in vain: ${typeof what === 'string' ? what : what()}`);
    }
    const costMs = nowMs - lookedMs;
    if (turn < turnsAtOnce && costMs < cheapMs) await setImmediate();
    else await setTimeout(Math.min(Math.max(costMs * 4, waitedMs / 50), pauseMsMax));
  }
}

const turnsAtOnce = 1_000;
/** A look at variables; a call, or a look at all processes, costs more. */
const cheapMs = 0.1;
const pauseMsMax = 50;
