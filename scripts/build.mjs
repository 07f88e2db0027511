// Compiles src/ and protocol/ into dist/. Runs as npm's `prepare` too, which npm also calls where devDependencies were
// left out (there is no compiler then, and a dist/ that came with the package is all there is to use), and on the first
// `npx warmpool` in a checkout, while a service may be running from dist/: so what is up to date stays as it is, and what
// is not is compiled beside it and put in its place when it is whole.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const compiler = join(root, 'node_modules/typescript/bin/tsc');
const dist = join(root, 'dist');
const program = 'src/main.js';
/** In dist/: what it was compiled from. */
const stamp = 'built-from';

/** The hash of everything that the compiler reads of ours, by name and content. */
function sourcesHash() {
  const hash = createHash('sha256');
  const add = (name) => {
    const path = join(root, name);
    if (statSync(path).isDirectory()) for (const each of readdirSync(path).sort()) add(join(name, each));
    else hash.update(`${name}\0`).update(readFileSync(path)).update('\0');
  };
  for (const name of ['src', 'protocol', 'tsconfig.json', 'tsconfig.build.json', 'package-lock.json'])
    add(name);
  return hash.digest('hex');
}

function build() {
  if (!existsSync(compiler)) {
    if (existsSync(join(dist, program))) return 0;
    console.error(
      'warmpool: TypeScript is not installed and there is no dist/; run npm ci without --omit=dev',
    );
    return 1;
  }
  const hash = sourcesHash();
  const isThere = existsSync(join(dist, stamp)) && existsSync(join(dist, program));
  if (isThere && readFileSync(join(dist, stamp), 'utf8') === hash) return 0;

  const next = `${dist}.${process.pid}`;
  const old = `${next}.old`;
  try {
    const { status } = spawnSync(
      process.execPath,
      [compiler, '-p', 'tsconfig.build.json', '--outDir', next],
      { cwd: root, stdio: 'inherit' },
    );
    if (status !== 0) return status ?? 1;
    // npm makes the bin executable when it links it, which a later build alone would undo.
    chmodSync(join(next, program), 0o755);
    writeFileSync(join(next, stamp), hash);
    if (existsSync(dist)) renameSync(dist, old);
    renameSync(next, dist);
    return 0;
  } finally {
    for (const left of [next, old]) rmSync(left, { recursive: true, force: true });
  }
}

process.exitCode = build();
