import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { packageRoot } from '../../src/package-root.ts';

/**
 * What Node is given to run one of our files, named by its path in the package. It is run as this file is: from source
 * by tsx, or compiled (tests under the runner, and the benches), which starts in half of the time.
 */
export function nodeProgram(path: string): string[] {
  if (import.meta.url.endsWith('.ts')) return ['--import', 'tsx', join(packageRoot(), path)];
  return [fileURLToPath(new URL(`../../${path.replace(/\.ts$/, '.js')}`, import.meta.url))];
}

/** `warmpool` as a user runs it. */
export const mainProgram: readonly string[] = nodeProgram('src/main.ts');
