import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { variableOf } from '../../src/config/settings.ts';
import { packageRoot } from '../../src/package-root.ts';
import { treePaths } from './source-files.ts';

const root = packageRoot();
const page = readFileSync(join(root, 'ARCHITECTURE.md'), 'utf8');
const paths = treePaths().filter((path) => existsSync(join(root, path)));

/** Rows of the code map: the folder or file in the first column, what to read in the last. */
const rows = [...page.matchAll(/^\| (`[^|]+) \| [^|]+ \| ([^|]+) \|$/gm)].map((match) => ({
  places: quoted(match[1] ?? ''),
  reads: quoted(match[2] ?? ''),
}));

function quoted(cell: string): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? '');
}

test('the code map names only what is there', () => {
  assert.ok(rows.length > 15);
  const gone = rows.flatMap(({ places, reads }) => {
    const missing = places.filter((place) => !paths.some((path) => path === place || path.startsWith(place)));
    const unread = reads.filter((file) => !places.some((place) => isThere(place, file)));
    return [...missing, ...unread];
  });
  assert.deepEqual(gone, []);
});

function isThere(place: string, file: string): boolean {
  const folder = place.endsWith('/') ? place : place.slice(0, place.lastIndexOf('/') + 1);
  return paths.some((path) => path.startsWith(folder) && path.endsWith(`/${file}`));
}

test('every folder of src has its row in the code map', () => {
  const folders = readdirSync(join(root, 'src'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => `src/${entry.name}/`)
    .filter((folder) => paths.some((path) => path.startsWith(folder)));
  const named = rows.flatMap(({ places }) => places);
  assert.deepEqual(
    folders.filter((folder) => !named.includes(folder)),
    [],
  );
});

test('every dependency has its reason', () => {
  const manifest: unknown = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const { dependencies, devDependencies } = manifest as Record<string, Record<string, string>>;
  const table = page.slice(page.indexOf('## Dependencies'));
  const unnamed = Object.keys({ ...dependencies, ...devDependencies })
    .map((name) => (name.startsWith('@types/') ? '@types/*' : name))
    .filter((name) => !table.includes(`\`${name}\``));
  assert.deepEqual(unnamed, []);
});

test('the README names every setting', () => {
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  const variables = [...Object.values(variableOf), 'WARMPOOL_CONFIG', 'WARMPOOL_PROVISION'];
  assert.deepEqual(
    variables.filter((variable) => !readme.includes(`\`${variable}`)),
    [],
  );
});
