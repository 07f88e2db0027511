import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';

/** A folder of the tests of one file, where any user may read; it goes when they have run. */
export function workFolder() {
  const path = mkdtempSync(join(tmpdir(), 'warmpool-files-'));
  chmodSync(path, 0o755);
  after(() => rmSync(path, { recursive: true, force: true }));
  const place = (name: string) => join(path, name);
  return {
    path,
    place,
    /** A new empty directory in it. */
    room(name: string, mode = 0o755): string {
      const room = place(name);
      mkdirSync(room);
      chmodSync(room, mode);
      return room;
    },
  };
}
