import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../src/package-root.ts';

/** What docs/redis.md lets the store's user do, so that what it says is what was tried. */
export function rightsInTheDocs(): readonly string[] {
  const docs = readFileSync(join(packageRoot(), 'docs', 'redis.md'), 'utf8');
  const line = /^ACL SETUSER warmpool on '>PASSWORD' ~wp:\* (.+)$/m.exec(docs)?.[1];
  assert.ok(line, 'docs/redis.md has the line that makes the user');
  return line.split(' ');
}
