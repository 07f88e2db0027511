import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Finds the folder that holds package.json, from source (`src/`) as well as from the build (`dist/src/`), so that
 * assets (Lua scripts, proto files, pool files, the guest binary) are read where they lie and never copied.
 */
export function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json'))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error('warmpool: package.json was not found above the running code');
    folder = parent;
  }
  return folder;
}
