import assert from 'node:assert/strict';
import { basename } from 'node:path';
import { test } from 'node:test';
import { type SourceFile, sourceFiles, treePaths } from './source-files.ts';

const files = sourceFiles();
const handWritten = files.filter((file) => !file.path.startsWith('protocol/golden'));
const src = files.filter((file) => file.path.startsWith('src/') || file.path.startsWith('protocol/'));

function pathsWith(where: readonly SourceFile[], pattern: RegExp): string[] {
  return where.filter((file) => pattern.test(file.code)).map((file) => file.path);
}

test('B13 nothing calls nsenter: all commands go through the guest', () => {
  assert.deepEqual(pathsWith(src, /nsenter|\bsetns\b/), []);
});

test('K10 the engine runs no command in a container', () => {
  const execByEngine =
    /['"`]docker['"`],\s*\[?['"`](exec|cp)['"`]|\/exec['"`]|\bgetExec\s*\(|container\.exec\s*\(/i;
  assert.deepEqual(pathsWith(src, execByEngine), []);
});

test('K10 the engine moves files only into and out of a container that never ran', () => {
  // Making a template: the guest goes into the image by way of a container that is never started.
  const allowed = ['src/runtime/docker/prepared-image.ts'];
  const archive = /\.(getArchive|putArchive|infoArchive)\s*\(/;
  assert.deepEqual(
    pathsWith(src, archive).filter((path) => !allowed.includes(path)),
    [],
  );
});

test('A14 no shell string is built: programs are started with lists of words', () => {
  const shell =
    /\bexecSync\s*\(|\bshell:\s*(true|['"])|\bimport\s*\{[^}]*\bexec\b[^}]*\}\s*from\s*'node:child_process'|['"](?:sh|bash)['"],\s*\[\s*['"]-c['"]/;
  const allowed = files.filter((file) => !file.path.startsWith('test/') && !file.path.startsWith('bench/'));
  assert.deepEqual(pathsWith(allowed, shell), []);
});

test('A16 log messages are constant sentences: what varies is a field', () => {
  const built = /\blog\.(debug|info|warn|error)\(\s*(?:[^;]*?,\s*)?`[^`]*\$\{/;
  assert.deepEqual(pathsWith(src, built), []);
});

test('A17 process.env is read where the process begins, and in the command line', () => {
  const readers = pathsWith(
    src.filter((file) => !/^src\/([^/]+\.ts|config\/.*|cli\/.*)$/.test(file.path)),
    /\bprocess\.env\b/,
  );
  assert.deepEqual(readers, []);
});

test('no file is over 500 lines', () => {
  const long = handWritten.filter((file) => file.text.split('\n').length > 500).map((file) => file.path);
  assert.deepEqual(long, []);
});

test('files and folders are named in kebab-case', () => {
  const odd = treePaths()
    .filter((path) => /^(src|protocol|test|bench|scripts|pools)\//.test(path))
    .filter((path) => !path.startsWith('src/grpc/gen/'))
    .filter((path) => !/^[a-z0-9-]+(\.[a-z0-9-]+)*$/.test(basename(path)) && basename(path) !== 'README.md')
    .filter((path) => !/^(Dockerfile|Makefile|\.[a-z]+)$/.test(basename(path)));
  assert.deepEqual(odd, []);
});

test('no folder is a kind: no utils, helpers, common, types, services or managers', () => {
  const kinds = /(^|\/)(utils?|helpers?|common|types|services|managers|misc)(\/|\.ts$)/;
  assert.deepEqual(
    treePaths().filter((path) => kinds.test(path) && !path.startsWith('src/grpc/gen/')),
    [],
  );
});

test('there are no barrels and no default exports', () => {
  const barrels = files.filter((file) => basename(file.path) === 'index.ts').map((file) => file.path);
  assert.deepEqual([...barrels, ...pathsWith(src, /^export (default|\*)/m)], []);
});

test('nothing is left for later in a comment', () => {
  const mark = /\b(TO[D]O|FIX[M]E|XX[X]|HA[C]K)\b/;
  assert.deepEqual(
    files.filter((file) => mark.test(file.text)).map((file) => file.path),
    [],
  );
});

test('the compiler and the linter are not told to look away', () => {
  const blind = /@ts-(?:ignore|expect-error|nocheck)|biome-[i]gnore/;
  assert.deepEqual(
    files.filter((file) => blind.test(file.text)).map((file) => file.path),
    [],
  );
});

test('tests wait for events: no bare sleeps', () => {
  const sleep =
    /await\s+(?:new Promise\(\s*\(?\w+\)?\s*=>\s*setTimeout\(\s*\w+\s*,\s*\d{3,}|(?:sleep|delay)\(\s*\d{3,})/;
  const tests = files.filter((file) => /^test\/.*\.test\.ts$/.test(file.path));
  assert.deepEqual(pathsWith(tests, sleep), []);
});
