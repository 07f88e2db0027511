import { setImmediate, setTimeout } from 'node:timers/promises';

/**
 * Waits for something that no event tells: turn by turn of the event loop at first, and then with pauses, because what
 * is waited for may need the processor.
 */
export async function until(condition: () => boolean, what: string, withinMs = 90_000): Promise<void> {
  const endMs = performance.now() + withinMs;
  for (let turn = 0; !condition(); turn += 1) {
    if (performance.now() > endMs) throw new Error(`waited ${withinMs} ms in vain: ${what}`);
    await (turn < turnsAtOnce ? setImmediate() : setTimeout(1));
  }
}

const turnsAtOnce = 1_000;
