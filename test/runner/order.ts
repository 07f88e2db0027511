import { join } from 'node:path';

/**
 * The files that take longest, longest first. They are begun first, because one that is begun last runs while the other
 * core has nothing left to do.
 */
export const longestFiles: readonly string[] = [
  'test/e2e/docker.test.ts',
  'test/e2e/bubblewrap.test.ts',
  'test/e2e/faults.test.ts',
  'test/xgen/rest.test.ts',
  'test/mutations/mutation.test.ts',
  'test/faults/claims-under-kill.test.ts',
  'test/guest/c-programs.test.ts',
  'test/xgen/docker.test.ts',
  'test/xgen/rest.test.ts',
  'test/cli/cli.test.ts',
  'test/cli/data-commands.test.ts',
  'test/client/node-restart.test.ts',
  'test/e2e/files-docker.test.ts',
  'test/e2e/files-bubblewrap.test.ts',
  'test/e2e/node-loss.test.ts',
  'test/data-plane/end-to-end.test.ts',
  'test/guest/files-tree.test.ts',
  'test/roles/hop.test.ts',
  'test/roles/workers.test.ts',
  'test/store/redis-failover.test.ts',
];

export function longestFirst(root: string, files: readonly string[]): readonly string[] {
  const longest = longestFiles.map((name) => join(root, name)).filter((file) => files.includes(file));
  return [...longest, ...files.filter((file) => !longest.includes(file))];
}
