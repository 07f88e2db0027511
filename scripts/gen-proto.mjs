/**
 * Writes the TypeScript types of proto/ into src/grpc/gen. With `--check` it writes nothing and exits 1, naming the
 * files, when what is committed is not what the contract says.
 *
 * The options must be those of src/grpc/wire/contract.ts, which loads the same files at run time.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const protoFolder = join(root, 'proto');
const committed = join(root, 'src/grpc/gen');
const generator = join(root, 'node_modules/@grpc/proto-loader/build/bin/proto-loader-gen-types.js');

if (process.argv.includes('--check')) {
  const fresh = mkdtempSync(join(tmpdir(), 'warmpool-proto-'));
  try {
    generate(fresh);
    const differing = differences(fresh);
    if (differing.length > 0) {
      console.error(
        `src/grpc/gen is not what proto/ says; run \`node scripts/gen-proto.mjs\`:\n  ${differing.join('\n  ')}`,
      );
      process.exitCode = 1;
    }
  } finally {
    rmSync(fresh, { recursive: true });
  }
} else {
  rmSync(committed, { recursive: true, force: true });
  generate(committed);
}

function generate(folder) {
  const options = ['--longs=Number', '--enums=String', '--defaults', '--oneofs', '--grpcLib=@grpc/grpc-js'];
  // NodeNext wants the extension; the compiler rewrites `.ts` in what it emits.
  const extensions = ['--targetFileExtension=.ts', '--importFileExtension=.ts'];
  // What the services import comes with them; a file without a service would get a type tree with unused imports.
  const services = filesUnder(protoFolder, '_service.proto');
  execFileSync(
    process.execPath,
    [generator, ...options, ...extensions, '-I', 'proto', '-O', folder, ...services],
    // The include folder is relative because its path is written into each file's first line.
    { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] },
  );
}

function differences(fresh) {
  const names = new Set([...filesUnder(fresh, '.ts'), ...filesUnder(committed, '.ts')]);
  return [...names].sort().filter((name) => read(join(fresh, name)) !== read(join(committed, name)));
}

function read(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}

function filesUnder(folder, extension) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(extension))
    .map((entry) => relative(folder, join(entry.parentPath ?? entry.path, entry.name)))
    .sort();
}
