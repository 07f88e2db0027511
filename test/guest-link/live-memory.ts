import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** What is still referenced, in bytes, buffers included: garbage is collected first, so growth is a leak or a queue. */
export function liveMemoryBytes(): number {
  setFlagsFromString('--expose-gc');
  const collect: () => void = runInNewContext('gc');
  collect();
  // Buffers are freed in the background; the second collection waits for the sweep of the first.
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
