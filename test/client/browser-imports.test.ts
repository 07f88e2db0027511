import assert from 'node:assert/strict';
import { builtinModules } from 'node:module';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { bundleForBrowsers } from '../browser/bundle.ts';
import { sourceFiles } from '../tidy/source-files.ts';

/** A page waits for it. */
const compressedBytesMax = 40_000;

test('the client in a browser imports nothing of Node, nothing of the service, and one package', async () => {
  // esbuild fails on a module of Node for browsers; the list says where it would have come from.
  const { inputs, script } = await bundleForBrowsers('src/client/entry-browser.ts');
  const paths = Object.keys(inputs);
  assert.ok(paths.length > 20);
  const foreign = paths.filter(
    (path) => !/^(src\/((client|operations|socket-channels)\/|deferred\.ts$)|protocol\/)/.test(path),
  );
  assert.deepEqual(
    foreign.filter((path) => !path.startsWith('node_modules/msgpackr/')),
    [],
  );
  assert.deepEqual(
    paths.filter((path) => path.startsWith('src/client/node/')),
    [],
  );
  const size = gzipSync(script).length;
  assert.ok(size < compressedBytesMax, `${size} bytes`);
});

test('its files name no global of Node, and make no code from text', async () => {
  const { inputs } = await bundleForBrowsers('src/client/entry-browser.ts');
  const files = sourceFiles().filter(({ path }) => path in inputs);
  const wrong = files.filter(({ code }) =>
    /\bBuffer\b|\bprocess\.(env|nextTick|on|stdout)\b|\bsetImmediate\b|\brequire\(|\beval\(|new Function\(/.test(
      code,
    ),
  );
  assert.deepEqual(
    wrong.map(({ path }) => path),
    [],
  );
  const modules = new Set(builtinModules.flatMap((name) => [name, `node:${name}`]));
  assert.deepEqual(
    files.filter(({ imports }) => imports.some((name) => modules.has(name))).map(({ path }) => path),
    [],
  );
});
