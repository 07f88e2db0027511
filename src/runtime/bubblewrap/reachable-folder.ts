import { chmod, mkdir } from 'node:fs/promises';
import { closedAncestor } from './sandbox-root.ts';

/**
 * Makes a folder that an unrelated uid can pass through, for what sandboxes are given: the agent and their /etc. The first
 * candidate that can be one is taken; null when none can. A state folder below somebody's closed home cannot.
 */
export async function makeReachableFolder(candidates: readonly string[]): Promise<string | null> {
  for (const folder of candidates) {
    try {
      await mkdir(folder, { recursive: true, mode: 0o711 });
      await chmod(folder, 0o711);
      if ((await closedAncestor(folder)) === null) return folder;
    } catch {
      // Not ours to make: the next one.
    }
  }
  return null;
}
