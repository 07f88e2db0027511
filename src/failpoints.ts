/**
 * Named places between two steps of a sandbox's life at which a test may end the process (T6): whatever dies there, the
 * next start has to find and finish. They are a closed list, so that a test that goes through all of them goes through
 * all that there are.
 *
 * Off, which is always but in such a test, a place costs one comparison of a variable with null. Arming takes two
 * variables of the environment, of which one says that this is a test: a service must not die of a stray setting.
 */
export const failpointNames = [
  /** A start slot is reserved, and nothing else is there. */
  'record',
  /** The control group, or the container, is made. */
  'cgroup',
  /** Processes are there, and wait. */
  'spawn',
  /** The root is put together (or the container attached), and nothing of the sandbox has run. */
  'mount',
  /** The guest has answered. */
  'link',
  /** The store was told that it is ready, and this process does not know it yet. */
  'ready',
  /** The store has given it to a claim, and nobody was told. */
  'claim',
  /** The first use is about to be written down. */
  'bind',
  /** It was written down, and was not let in. */
  'journal',
  /** The link is closed, and everything of it still there. */
  'kill',
  /** Its processes are gone, and the rest is not. */
  'unmount',
  /** Nothing of it is left but its record. */
  'delete',
] as const;

export type FailpointName = (typeof failpointNames)[number];

let reached: ((name: FailpointName) => void) | null = null;

export function failpoint(name: FailpointName): void {
  if (reached !== null) reached(name);
}

/** For tests in one process: what happens at every place from now on; null: nothing. */
export function onFailpoint(listener: ((name: FailpointName) => void) | null): void {
  reached = listener;
}

/**
 * `WARMPOOL_FAILPOINTS=bind:3` ends this process with SIGKILL when `bind` is reached for the third time; several are
 * parted by commas. Returns the sentence to refuse to start with, or null.
 */
export function armFailpoints(env: Readonly<Record<string, string | undefined>>): string | null {
  const text = env.WARMPOOL_FAILPOINTS;
  if (text === undefined || text === '') return null;
  if (env.WARMPOOL_TEST_FAILPOINTS !== 'on')
    return 'WARMPOOL_FAILPOINTS ends this process on purpose: it is for tests, which say so by WARMPOOL_TEST_FAILPOINTS=on';
  const left = new Map<string, number>();
  for (const part of text.split(',')) {
    const [name = '', count = '1'] = part.trim().split(':');
    const isKnown = (failpointNames as readonly string[]).includes(name);
    if (!isKnown || !/^[1-9]\d{0,5}$/.test(count))
      return `WARMPOOL_FAILPOINTS: "${part.trim()}" is none; name them as name or name:count, of ${failpointNames.join(', ')}`;
    left.set(name, Number(count));
  }
  onFailpoint((name) => {
    const times = left.get(name);
    if (times === undefined) return;
    left.set(name, times - 1);
    if (times === 1) process.kill(process.pid, 'SIGKILL');
  });
  return null;
}
