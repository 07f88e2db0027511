import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { packageRoot } from '../../src/package-root.ts';

it('the codec runs in a browser too: nothing of Node, nothing of the service, no code from text', () => {
  const folder = join(packageRoot(), 'protocol');
  const files = readdirSync(folder).filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts'));
  assert.ok(files.length > 5);
  for (const name of files) {
    const source = readFileSync(join(folder, name), 'utf8');
    for (const [, from = ''] of source.matchAll(/from '([^']+)'/g)) {
      assert.match(from, /^\.\/|^msgpackr\/index-no-eval$/, `${name} imports ${from}`);
    }
    const code = source.replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');
    assert.doesNotMatch(code, /\bBuffer\b|\bprocess\.|\brequire\(|\beval\(|\bFunction\(/, name);
  }
});
