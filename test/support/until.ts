import { setImmediate, setTimeout } from 'node:timers/promises';

/**
 * Waits for something that no event tells: turn by turn of the event loop at first, and then with pauses, because what
 * is waited for may need the processor. `what` is what was waited for, or tells what there was instead.
 */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string | (() => string),
  withinMs = 90_000,
): Promise<void> {
  const endMs = performance.now() + withinMs;
  for (let turn = 0; !(await condition()); turn += 1) {
    if (performance.now() > endMs) {
      throw new Error(`waited ${withinMs} ms in vain: ${typeof what === 'string' ? what : what()}`);
    }
    await (turn < turnsAtOnce ? setImmediate() : setTimeout(1));
  }
}

const turnsAtOnce = 1_000;
