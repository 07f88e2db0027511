// Builds guest/build/warmpool-guest from source. Plain JavaScript without dependencies, because it runs while the
// package is being installed; skipped when the sources, the compiler and the version are those of the last build.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const guestFolder = dirname(fileURLToPath(import.meta.url));

export const sourceFolder = join(guestFolder, 'src');
export const buildFolder = join(guestFolder, 'build');
export const guestBinary = join(buildFolder, 'warmpool-guest');

export const warningFlags = ['-std=c11', '-Wall', '-Wextra', '-Werror'];
const releaseFlags = [
  '-Os',
  '-fstack-protector-strong',
  '-fno-asynchronous-unwind-tables',
  '-ffunction-sections',
  '-fdata-sections',
  // A static program lies where it is linked: code that could lie anywhere is only larger.
  '-fno-pie',
];
const releaseLinkFlags = [
  '-s',
  '-no-pie',
  '-Wl,--gc-sections',
  '-Wl,-z,noexecstack',
  // Headers and read-only data share the pages of the code: up to two pages less of padding.
  '-Wl,-z,noseparate-code',
  '-Wl,--build-id=none',
];
/**
 * For musl only, whose binary is the one that must be small. The whole is optimised at once, which other compilers and
 * linkers may not be able to. Nothing is lost with the read-only relocations: only a dynamic linker or glibc's start would
 * protect them, musl's start of a static program never did, and to align them cost up to a page.
 */
const muslFlags = ['-flto=1', '-flto-partition=one', '-fno-jump-tables'];
const muslLinkFlags = ['-Wl,-z,norelro', '-Wl,--sort-section=alignment'];

/** A compiler that makes static binaries, or undefined. musl first: the result is a tenth of the size. */
export function findStaticCompiler() {
  const candidates = [
    ['musl-gcc', '-static'],
    [process.env.CC ?? 'cc', '-static'],
  ];
  return candidates.find(linksStatically);
}

function linksStatically([command, ...flags]) {
  const folder = mkdtempSync(join(tmpdir(), 'warmpool-cc-'));
  try {
    const source = join(folder, 'probe.c');
    writeFileSync(source, '#include <unistd.h>\nint main(void) { return getpid() == 0; }\n');
    return (
      spawnSync(command, [...flags, source, '-o', join(folder, 'probe')], { stdio: 'ignore' }).status === 0
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The sources of the agent; without main.c they are what test programs link with. */
export function guestSources({ withMain }) {
  return readdirSync(sourceFolder)
    .filter((name) => name.endsWith('.c') && (withMain || name !== 'main.c'))
    .sort()
    .map((name) => join(sourceFolder, name));
}

/** Compiles and links a program, and returns whether it had to. Throws with the compiler's words. */
export function compile({ compiler, flags, sources, output, folders = [sourceFolder] }) {
  const words = [...compiler, ...flags];
  return makeUnlessFresh({ words, sources, folders, output }, (partial) => {
    run([...words, ...includesOf(folders), ...sources, '-o', partial], output);
  });
}

/** Compiles sources into an archive for programs to link with, and returns whether it had to. */
export function compileArchive(compilation) {
  return compileInSteps(compilation, ['ar', 'rcs'], (partial) => [partial]);
}

/** As `compile`, but what is optimised at the end is not refused for warnings: each compiler has others there. */
function compileAndLink(compilation, linkFlags) {
  return compileInSteps(compilation, [...compilation.compiler, ...linkFlags, '-w'], (partial) => [
    '-o',
    partial,
  ]);
}

/** Each source by itself, and then all objects by one more command. */
function compileInSteps(
  { compiler, flags, sources, output, folders = [sourceFolder] },
  lastCommand,
  outputWords,
) {
  const words = [...compiler, ...flags, '-c'];
  return makeUnlessFresh({ words: [...words, ...lastCommand], sources, folders, output }, (partial) => {
    const objects = mkdtempSync(join(dirname(output), '.objects-'));
    try {
      run([...words, ...includesOf(folders), ...sources], output, objects);
      run([...lastCommand, ...outputWords(partial), ...readdirSync(objects).sort()], output, objects);
    } finally {
      rmSync(objects, { recursive: true, force: true });
    }
  });
}

/**
 * Makes a file under a temporary name and renames it, so that two builds at once never show each other half a file. Skips
 * when the stamp beside it says that nothing has changed; returns whether it was made.
 */
function makeUnlessFresh({ words, sources, folders, output }, make) {
  const stamp = stampOf([...words, output], sources, folders);
  const stampFile = `${output}.stamp`;
  if (readIfThere(stampFile) === stamp && readIfThere(output) !== undefined) return false;
  mkdirSync(dirname(output), { recursive: true });
  const partial = join(dirname(output), `.${basename(output)}.${process.pid}`);
  try {
    make(partial);
  } catch (error) {
    rmSync(partial, { force: true });
    throw error;
  }
  renameSync(partial, output);
  writeFileSync(`${stampFile}.${process.pid}`, stamp);
  renameSync(`${stampFile}.${process.pid}`, stampFile);
  return true;
}

function includesOf(folders) {
  return folders.map((folder) => `-iquote${folder}`);
}

function run([command, ...args], output, cwd) {
  const result = spawnSync(command, args, { encoding: 'utf8', cwd });
  if (result.status === 0) return;
  throw new Error(`${command} could not build ${basename(output)}:\n${result.stderr ?? result.error}`);
}

function stampOf(words, sources, folders) {
  const headers = folders.flatMap((folder) =>
    readdirSync(folder)
      .filter((name) => name.endsWith('.h'))
      .sort()
      .map((name) => join(folder, name)),
  );
  const hash = createHash('sha256').update(JSON.stringify(words));
  for (const file of [...sources, ...headers])
    hash.update(`\0${basename(file)}\0`).update(readFileSync(file));
  return hash.digest('hex');
}

function readIfThere(file) {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return undefined;
  }
}

function packageVersion() {
  return JSON.parse(readFileSync(join(guestFolder, '..', 'package.json'), 'utf8')).version;
}

/** Builds the agent when it is not up to date, and returns its path. */
export function buildGuest() {
  const compiler = findStaticCompiler();
  if (compiler === undefined) {
    throw new Error(
      'The guest agent is built from C, and no compiler that links statically was found (musl-gcc, or cc with a static ' +
        'libc).\nInstall one, on Debian or Ubuntu: apt-get install musl-tools',
    );
  }
  const isMusl = compiler[0] === 'musl-gcc';
  const flags = isMusl ? [...releaseFlags, ...muslFlags] : releaseFlags;
  const linkFlags = isMusl ? [...releaseLinkFlags, ...muslLinkFlags] : releaseLinkFlags;
  const compiled = compileAndLink(
    {
      compiler,
      flags: [...warningFlags, ...flags, `-DWARMPOOL_VERSION="${packageVersion()}"`],
      sources: guestSources({ withMain: true }),
      output: guestBinary,
    },
    [...flags, ...linkFlags],
  );
  return { path: guestBinary, compiled };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    const { path, compiled } = buildGuest();
    console.log(`${compiled ? 'built' : 'up to date'}: ${path}`);
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
