import assert from 'node:assert/strict';
import { test } from 'node:test';
import { foreignVariables, variableOf } from '../../src/config/settings.ts';
import { filesBelow, textOf } from './deployed-files.ts';

const known = new Set<string>([...Object.values(variableOf), 'WARMPOOL_CONFIG']);

function unknownIn(text: string): string[] {
  const named = [...text.matchAll(/\bWARMPOOL_[A-Z0-9_]+/g)].map(([name]) => name);
  return named.filter((name) => !known.has(name) && !foreignVariables.test(name));
}

test('every WARMPOOL_ variable that the ways of deploying and the pages name is a setting', () => {
  const files = ['Dockerfile', 'compose.yaml', 'README.md', ...filesBelow('deploy'), ...filesBelow('docs')];
  assert.ok(files.length > 20);
  for (const path of files.filter((name) => !/\.(png|svg|csv)$/.test(name)))
    assert.deepEqual(unknownIn(textOf(path)), [], path);
});

test('a misspelt variable would be found', () => {
  assert.deepEqual(unknownIn('WARMPOOL_ROLE=node WARMPOOL_ROL=node'), ['WARMPOOL_ROL']);
});
