import { setImmediate } from 'node:timers/promises';

/** Waits, turn by turn of the event loop, for something that no event tells. */
export async function until(condition: () => boolean, what: string, withinMs = 10_000): Promise<void> {
  const endMs = performance.now() + withinMs;
  while (!condition()) {
    if (performance.now() > endMs) throw new Error(`waited ${withinMs} ms in vain: ${what}`);
    await setImmediate();
  }
}
