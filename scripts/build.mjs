// Compiles src/ and protocol/ into dist/. Runs as npm's `prepare` too, which npm also calls where devDependencies were
// left out: there is no compiler then, and a dist/ that came with the package is all there is to use.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const compiler = join(root, 'node_modules/typescript/bin/tsc');

if (!existsSync(compiler)) {
  if (existsSync(join(root, 'dist/src/main.js'))) process.exit(0);
  console.error('warmpool: TypeScript is not installed and there is no dist/; run npm ci without --omit=dev');
  process.exit(1);
}
// What was deleted from src/ must not live on in dist/.
rmSync(join(root, 'dist'), { recursive: true, force: true });
const { status } = spawnSync(process.execPath, [compiler, '-p', 'tsconfig.build.json'], {
  cwd: root,
  stdio: 'inherit',
});
// npm makes the bin executable when it links it, which a later build alone would undo.
if (status === 0) chmodSync(join(root, 'dist/src/main.js'), 0o755);
process.exit(status ?? 1);
