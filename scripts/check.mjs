// `npm run check`: format and lint, types, the gRPC contract, generated files, and the rules that are tests of the tree.
// Every step runs, so that one look shows everything that is wrong.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const tidyTests = readdirSync(`${root}/test/tidy`).filter((name) => name.endsWith('.test.ts'));

const steps = {
  'format and lint': [
    'node_modules/@biomejs/biome/bin/biome',
    'ci',
    ...(process.stdout.isTTY ? [] : ['--colors=off']),
    '.',
  ],
  types: ['node_modules/typescript/bin/tsc', '--noEmit'],
  'gRPC contract': ['node_modules/@bufbuild/buf/bin/buf', 'lint'],
  'generated types are those of the contract': ['scripts/gen-proto.mjs', '--check'],
  'rules of the tree': [
    '--import',
    'tsx',
    '--test',
    '--test-reporter=spec',
    ...tidyTests.map((name) => `test/tidy/${name}`),
  ],
};

const failed = Object.entries(steps).filter(([name, args]) => {
  console.log(`\n--- ${name}`);
  return spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' }).status !== 0;
});
console.log(
  failed.length === 0 ? '\ncheck: all good' : `\ncheck: FAILED: ${failed.map(([name]) => name).join(', ')}`,
);
process.exitCode = failed.length === 0 ? 0 : 1;
