import { chmodSync, copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildGuest } from '../../guest/build.mjs';

let copyForAnybody: string | null = null;

/**
 * The guest to start as this user. Another one than our own gets a copy in a place that every user reaches: the checkout
 * may lie in somebody's closed home directory.
 */
export function guestFor(uid: number | undefined): string {
  if (uid === undefined) return buildGuest().path;
  if (copyForAnybody !== null) return copyForAnybody;
  const folder = mkdtempSync(join(tmpdir(), 'warmpool-guest-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  chmodSync(folder, 0o755);
  copyForAnybody = join(folder, 'warmpool-guest');
  copyFileSync(buildGuest().path, copyForAnybody);
  return copyForAnybody;
}
