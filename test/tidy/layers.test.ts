import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type SourceFile, sourceFiles } from './source-files.ts';

/**
 * Who may import whom. A layer is a folder of src/ (or protocol/); it may import itself, what its row names, and
 * packages. src/service/ wires everything and is in no row. `port` means the one file of a layer that states its port.
 */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  protocol: [],
  domain: [],
  observability: ['domain'],
  config: ['domain', 'package-root'],
  auth: ['domain', 'config', 'allocator/api'],
  store: ['domain', 'observability', 'package-root'],
  'guest-link': ['domain', 'protocol', 'observability', 'deferred'],
  runtime: ['domain', 'observability', 'package-root', 'failpoints'],
  node: ['domain', 'observability', 'store port', 'runtime port', 'guest-link', 'protocol', 'failpoints'],
  allocator: ['domain', 'observability', 'store port', 'guest-link', 'protocol', 'failpoints'],
  /** Typed operations over any ChannelOpener; for Node and browsers, so it knows nothing but the protocol. */
  operations: ['protocol', 'deferred'],
  grpc: [
    'domain',
    'observability',
    'allocator/api',
    'auth',
    'store port',
    'guest-link port',
    'operations',
    'protocol',
    'package-root',
  ],
  http: ['domain', 'observability', 'allocator/api', 'auth', 'protocol', 'operations', 'xgen dialect'],
  'data-plane': [
    'domain',
    'observability',
    'allocator/api',
    'auth',
    'protocol',
    'operations',
    'guest-link port',
  ],
  /** The requester's end of a socket, for clients (also in browsers) and for processes of the service. */
  'socket-channels': ['protocol', 'deferred'],
  'node-link': ['domain', 'observability', 'guest-link', 'protocol', 'socket-channels', 'deferred'],
  client: ['domain', 'protocol', 'operations', 'socket-channels', 'deferred', 'package-root', 'grpc/wire'],
  cli: ['domain', 'client', 'auth', 'package-root'],
};

/** The ports and what every layer may know of another: a noun, not an adapter. */
const publicFiles: Readonly<Record<string, RegExp>> = {
  'store port': /^src\/store\/[a-z-]+\.ts$/,
  'runtime port': /^src\/runtime\/sandbox-runtime\.ts$/,
  'guest-link port': /^src\/guest-link\/guest\.ts$/,
  'allocator/api': /^src\/allocator\/(api|responder-failure)\.ts$/,
  'package-root': /^src\/package-root\.ts$/,
  failpoints: /^src\/failpoints\.ts$/,
  /** A promise that is settled from outside, of nobody's domain. */
  deferred: /^src\/deferred\.ts$/,
  /** One dialect has a socket and routes; what they share is beside the socket. */
  'xgen dialect': /^src\/data-plane\/xgen\//,
  /** The contract as both ends write it; the server is beside it, not in it. */
  'grpc/wire': /^src\/grpc\/(wire|gen)\//,
};

const files = sourceFiles();

for (const [layer, allowed] of Object.entries(mayImport)) {
  test(`${layer} imports nothing but ${allowed.length === 0 ? 'itself' : allowed.join(', ')}`, () => {
    const wrong = files
      .filter((file) => layerOf(file.path) === layer)
      .flatMap((file) =>
        file.imports
          .filter((target) => !isAllowed(layer, allowed, target))
          .map((target) => `${file.path} imports ${target}`),
      );
    assert.deepEqual(wrong, []);
  });
}

test('what both ends of gRPC share knows nothing of the server', () => {
  const wrong = files
    .filter((file) => file.path.startsWith('src/grpc/wire/'))
    .flatMap((file) => file.imports)
    .filter(
      (target) =>
        target.startsWith('src/') && !/^src\/(grpc\/(wire|gen)\/|domain\/|package-root)/.test(target),
    );
  assert.deepEqual(wrong, []);
});

test('every folder of src has its row in the table of layers', () => {
  const layers = new Set(files.map((file) => layerOf(file.path)).filter((layer) => layer !== null));
  assert.deepEqual(
    [...layers].filter((layer) => !Object.hasOwn(mayImport, layer)),
    [],
  );
});

test('only src/service builds adapters of the store and the runtimes', () => {
  const adapter = /\bnew\s+(?:\w+(?:PoolStore|Runtime))\s*\(/;
  const wrong = inSrc().filter((file) => !file.path.startsWith('src/service/') && adapter.test(file.code));
  assert.deepEqual(
    wrong.map((file) => file.path),
    [],
  );
});

test('nothing but the entry point imports from src/service', () => {
  const wrong = inSrc()
    .filter((file) => !/^src\/(service\/|serve\.ts$)/.test(file.path))
    .filter((file) => file.imports.some((target) => target.startsWith('src/service/')));
  assert.deepEqual(
    wrong.map((file) => file.path),
    [],
  );
});

test('nothing but tests and benches imports from test or bench', () => {
  const wrong = files
    .filter((file) => !/^(test|bench|guest\/test)\//.test(file.path))
    .filter((file) => file.imports.some((target) => /^(test|bench)\//.test(target)));
  assert.deepEqual(
    wrong.map((file) => file.path),
    [],
  );
});

/** null for what is in no layer: what wires them, the few files beside main.ts, tests, scripts. */
function layerOf(path: string): string | null {
  if (path.startsWith('protocol/')) return 'protocol';
  if (path.startsWith('src/service/')) return null;
  return /^src\/([^/]+)\//.exec(path)?.[1] ?? null;
}

function isAllowed(layer: string, allowed: readonly string[], target: string): boolean {
  const isOurs = target.startsWith('src/') || target.startsWith('protocol/');
  if (!isOurs) return !/^(test|bench|scripts|guest)\//.test(target);
  const other = layerOf(target);
  if (other === layer) return true;
  if (other !== null && allowed.includes(other)) return true;
  return allowed.some((name) => publicFiles[name]?.test(target));
}

function inSrc(): readonly SourceFile[] {
  return files.filter((file) => file.path.startsWith('src/'));
}
