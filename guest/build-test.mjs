// Builds the programs that only tests and benches need, into guest/build/test. Exported for tests of every runtime; run by
// hand it builds all of them.

import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  buildFolder,
  compile,
  findStaticCompiler,
  guestSources,
  sourceFolder,
  warningFlags,
} from './build.mjs';

const guestFolder = dirname(fileURLToPath(import.meta.url));
const testFolder = join(guestFolder, 'test');
const nativeBenchFolder = join(guestFolder, '..', 'bench', 'native');
const outputFolder = join(buildFolder, 'test');

/** Static programs that run inside any sandbox: name → source. */
const probes = {
  'seccomp-probe': join(testFolder, 'seccomp-probe.c'),
  'pid1-probe': join(testFolder, 'pid1-probe.c'),
  'swap-probe': join(testFolder, 'swap-probe.c'),
  true: join(nativeBenchFolder, 'true.c'),
  'spawn-floor': join(nativeBenchFolder, 'spawn-floor.c'),
};

export const probeNames = Object.keys(probes);
export const unitTestNames = [
  'frame-test',
  'msgpack-test',
  'users-test',
  'replay-test',
  'ports-test',
  'sha256-test',
  'file-request-test',
  'tar-entry-test',
];

const sanitizerFlags = ['-g', '-O1', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'];

/** Builds one of the static programs and returns its path. Throws when there is no compiler or it fails. */
export function buildProbe(name) {
  const compiler = findStaticCompiler();
  if (compiler === undefined)
    throw new Error('no compiler that links statically (apt-get install musl-tools)');
  const output = join(outputFolder, name);
  compile({ compiler, flags: [...warningFlags, '-O2', '-s'], sources: [probes[name]], output });
  return output;
}

/** Builds one of the unit test programs, plain or with sanitizers, and returns its path. */
export function buildUnitTest(name, { sanitized }) {
  const output = join(outputFolder, sanitized ? `${name}-sanitized` : name);
  compileWithSources(
    hostCompiler(),
    sanitized ? sanitizerFlags : ['-O2'],
    join(testFolder, `${name}.c`),
    output,
  );
  return output;
}

/** Builds the fuzzer: with clang's libFuzzer, or the seeded mutation loop of its own. */
export function buildFuzzer({ libFuzzer }) {
  const output = join(outputFolder, libFuzzer ? 'fuzz-libfuzzer' : 'fuzz');
  const flags = libFuzzer
    ? ['-g', '-O1', '-fsanitize=fuzzer,address,undefined', '-fno-sanitize-recover=all']
    : [...sanitizerFlags, '-DLOOP_MAIN'];
  compileWithSources(libFuzzer ? ['clang'] : hostCompiler(), flags, join(testFolder, 'fuzz.c'), output);
  return output;
}

/** The agent itself under the sanitizers, to be driven like the real one. It is linked dynamically. */
export function buildSanitizedGuest() {
  const output = join(outputFolder, 'warmpool-guest-sanitized');
  compile({
    compiler: hostCompiler(),
    flags: [...warningFlags, ...sanitizerFlags],
    sources: guestSources({ withMain: true }),
    output,
  });
  return output;
}

/** Sanitizers need the host's own C library, so these are built by its compiler, not by musl's. */
function hostCompiler() {
  return [process.env.CC ?? 'cc'];
}

export function hasClang() {
  return spawnSync('clang', ['--version'], { stdio: 'ignore' }).status === 0;
}

function compileWithSources(compiler, flags, source, output) {
  compile({
    compiler,
    flags: [...warningFlags, ...flags],
    sources: [source, ...guestSources({ withMain: false })],
    output,
    folders: [sourceFolder, testFolder],
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const name of probeNames) console.log(buildProbe(name));
  for (const name of unitTestNames) console.log(buildUnitTest(name, { sanitized: false }));
}
