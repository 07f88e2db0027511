// Builds the programs that only tests and benches need, into guest/build/test. Exported for tests of every runtime; run by
// hand it builds all of them. The sources of the guest are compiled once for each set of flags, into an archive that the
// programs of that set link with: compiling them for each program took most of a minute.

import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  buildFolder,
  compile,
  compileArchive,
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
  'task-output-test',
  'task-event-test',
  'task-input-test',
];

const sanitizerFlags = ['-g', '-O1', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'];

/** The sets of flags; sanitizers need the host's own C library, so all but the static programs are built with it. */
const variants = {
  plain: { compiler: hostCompiler, flags: ['-O2'], linkFlags: [] },
  sanitized: { compiler: hostCompiler, flags: sanitizerFlags, linkFlags: [] },
  fuzzed: {
    compiler: () => ['clang'],
    flags: ['-g', '-O1', '-fsanitize=fuzzer-no-link,address,undefined', '-fno-sanitize-recover=all'],
    // Its main comes from a library that only the program is to be linked with.
    linkFlags: ['-fsanitize=fuzzer'],
  },
};

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
  const output = sanitized ? `${name}-sanitized` : name;
  return buildWithArchive(sanitized ? 'sanitized' : 'plain', join(testFolder, `${name}.c`), output);
}

/** Builds the fuzzer: with clang's libFuzzer, or the seeded mutation loop of its own. */
export function buildFuzzer({ libFuzzer }) {
  const source = join(testFolder, 'fuzz.c');
  return libFuzzer
    ? buildWithArchive('fuzzed', source, 'fuzz-libfuzzer')
    : buildWithArchive('sanitized', source, 'fuzz', ['-DLOOP_MAIN']);
}

/** The agent itself under the sanitizers, to be driven like the real one. It is linked dynamically. */
export function buildSanitizedGuest() {
  return buildWithArchive('sanitized', join(sourceFolder, 'main.c'), 'warmpool-guest-sanitized');
}

function hostCompiler() {
  return [process.env.CC ?? 'cc'];
}

export function hasClang() {
  return spawnSync('clang', ['--version'], { stdio: 'ignore' }).status === 0;
}

function buildWithArchive(variant, source, name, defines = []) {
  const { compiler, flags, linkFlags } = variants[variant];
  const archive = join(outputFolder, `guest-${variant}.a`);
  compileArchive({
    compiler: compiler(),
    flags: [...warningFlags, ...flags],
    sources: guestSources({ withMain: false }),
    output: archive,
  });
  const output = join(outputFolder, name);
  compile({
    compiler: compiler(),
    flags: [...warningFlags, ...flags, ...linkFlags, ...defines],
    sources: [source, archive],
    output,
    folders: [sourceFolder, testFolder],
  });
  return output;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const name of probeNames) console.log(buildProbe(name));
  for (const name of unitTestNames) console.log(buildUnitTest(name, { sanitized: false }));
}
